#include "cli/picture_file.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/error.hpp"
#include "base/file.hpp"
#include "cli/talk.hpp"

namespace loglog::cli {

void check_picture(const std::string& option, const std::string& path,
                   const std::vector<std::string_view>& endings) {
  if (path.empty()) return;
  if (std::ranges::find(endings, Path(path).extension().string()) == endings.end())
    throw UsageError(
        fmt::format("{} '{}': the name must end in {}", option, path, fmt::join(endings, " or ")));
  check_writable(real_file_system(), path);
  if (!report::gnuplot_available())
    throw RefusedError(fmt::format(
        "{} needs gnuplot (Debian: apt-get install gnuplot-nox, macOS: brew install gnuplot)", option));
}

void write_picture(const std::string& path, const report::Figure& figure) {
  const std::string ending = Path(path).extension().string();
  const auto format = ending == ".svg"   ? report::Format::svg
                      : ending == ".png" ? report::Format::png
                                         : report::Format::pdf;
  const std::string picture = report::render(figure, format);
  write_atomically(real_file_system(), path,
                   format == report::Format::svg ? report::svg_document(picture) : picture);
  talk("loglog: {}\n", path);
}

}  // namespace loglog::cli

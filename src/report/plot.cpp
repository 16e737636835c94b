#include "report/plot.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <string_view>

#include "base/check.hpp"
#include "base/error.hpp"

extern char** environ;

namespace loglog::report {
namespace {

// Okabe & Ito 2008: distinguishable with every common colour blindness, and readable on white and on black.
constexpr std::array<std::string_view, 7> kPalette = {"#0072B2", "#D55E00", "#009E73", "#CC79A7",
                                                      "#E69F00", "#56B4E9", "#8A8A8A"};

// For ordered things such as sizes: hue runs from indigo to magenta at nearly even lightness, so that both
// ends stand out from white and from black.
using Rgb = std::array<double, 3>;
constexpr std::array<Rgb, 7> kRamp = {{{98, 96, 220},
                                       {47, 143, 206},
                                       {31, 161, 135},
                                       {122, 171, 46},
                                       {217, 154, 28},
                                       {216, 87, 42},
                                       {190, 62, 128}}};

std::string ramp_colour(double shade) {
  const double place = std::clamp(shade, 0.0, 1.0) * static_cast<double>(kRamp.size() - 1);
  const std::size_t left = std::min(static_cast<std::size_t>(place), kRamp.size() - 2);
  const double share = place - static_cast<double>(left);
  const auto channel = [&](std::size_t i) {
    return std::lround((1 - share) * kRamp[left][i] + share * kRamp[left + 1][i]);
  };
  return fmt::format("#{:02x}{:02x}{:02x}", channel(0), channel(1), channel(2));
}

std::string colour_of(const Series& series) {
  if (series.shade) return ramp_colour(*series.shade);
  return std::string(kPalette[static_cast<std::size_t>(series.colour) % kPalette.size()]);
}

// A gnuplot string literal. Single quotes take everything literally but themselves.
std::string literal(std::string_view text) {
  std::string result = "'";
  for (const char c : text) {
    if (c == '\'') result += '\'';
    result += c == '\n' ? ' ' : c;
  }
  return result + "'";
}

bool drawable(double value, const Axis& axis) {
  return std::isfinite(value) && (!axis.log || value > 0.0);
}

// Text that may stand between double quotes in a data block.
std::string quotable(std::string_view text) {
  std::string result;
  for (const char c : text) {
    if (c == '"') {
      result += '\'';
    } else if (c == '\\') {
      result += '/';
    } else {
      result += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
    }
  }
  return result;
}

// Smallest and largest value along an axis, of what is drawn.
struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();
  void add(const std::vector<double>& values, const Axis& axis) {
    for (const double value : values) {
      if (!drawable(value, axis)) continue;
      low = std::min(low, value);
      high = std::max(high, value);
    }
  }
  // gnuplot would extend a logarithmic axis to the next decade, which may be most of the picture.
  Range with_margin(const Axis& axis) const {
    constexpr double kMargin = 0.04;
    if (!(low <= high)) return {axis.log ? 1.0 : 0.0, axis.log ? 10.0 : 1.0};
    Range shown = *this;
    if (axis.log) {
      const double factor = low < high ? std::pow(high / low, kMargin) : 2;
      shown = {low / factor, high * factor};
    } else {
      const double step = low < high ? kMargin * (high - low) : std::max(std::abs(low), 1.0) / 10;
      shown = {low - step, high + step};
    }
    return {axis.low.value_or(shown.low), axis.high.value_or(shown.high)};
  }
};

// 1e9 and 2.5e12, without the padding of printf.
std::string scientific(double value, int digits) {
  std::string text = fmt::format("{:.{}e}", value, digits - 1);
  const std::size_t e = text.find('e');
  if (e == std::string::npos) return text;  // nan, inf
  std::string mantissa = text.substr(0, e);
  if (mantissa.find('.') != std::string::npos) {
    mantissa.erase(mantissa.find_last_not_of('0') + 1);
    if (mantissa.back() == '.') mantissa.pop_back();
  }
  return fmt::format("{}e{}", mantissa, std::stoi(text.substr(e + 1)));
}

// gnuplot marks decades only, which leaves most axes of a sweep with one or two ticks.
std::string log_ticks(const Range& range) {
  if (!(range.low > 0) || !(range.high >= range.low) || std::isinf(range.high)) return "";
  const double decades = std::log10(range.high / range.low);
  const int stride = std::max(1, static_cast<int>(decades / 7));
  std::vector<double> steps = {1};
  if (decades < 3) steps = {1, 2, 5};
  if (decades < 0.9) steps = {1, 1.5, 2, 3, 4, 5, 6, 8};
  std::string ticks;
  const int first = static_cast<int>(std::floor(std::log10(range.low))) - 1;
  const int last = static_cast<int>(std::ceil(std::log10(range.high))) + 1;
  for (int power = first; power <= last; ++power) {
    if (power % stride != 0) continue;
    for (const double step : steps) {
      const double value = step * std::pow(10.0, power);
      const std::string label = range.high >= 1e9 ? scientific(value, 3) : short_number(value);
      ticks += fmt::format("{}'{}' {:.9g}", ticks.empty() ? "" : ", ", label, value);
    }
  }
  return ticks;
}

std::string axis_commands(std::string_view letter, const Axis& axis, const Range& range) {
  std::string text = fmt::format("set {}label {} noenhanced\n", letter, literal(axis.label));
  if (axis.log) {
    text += fmt::format("set logscale {0}\nset {0}tics ({1})\n", letter, log_ticks(range));
  }
  const Range shown = range.with_margin(axis);
  return text + fmt::format("set {}range [{:.9g}:{:.9g}]\n", letter, shown.low, shown.high);
}

std::string data_block(const Figure& figure, const Series& series, std::size_t index) {
  std::string text = fmt::format("$data{} << EOD\n", index);
  for (std::size_t i = 0; i < series.x.size(); ++i) {
    if (!drawable(series.x[i], figure.x) || !drawable(series.y[i], figure.y)) continue;
    text += fmt::format("{:.9g} {:.9g}", series.x[i], series.y[i]);
    if (series.mark == Mark::band) text += fmt::format(" {:.9g}", series.y2[i]);
    if (!series.hover.empty()) text += fmt::format(" \"{}\"", quotable(series.hover[i]));
    text += '\n';
  }
  return text + "EOD\n";
}

std::string style_of(const Series& series) {
  const std::string colour = colour_of(series);
  switch (series.mark) {
    case Mark::points:
      return fmt::format("using 1:2 with points pt 7 ps 0.55 lc rgb '{}'", colour);
    case Mark::rings:
      return fmt::format("using 1:2 with points pt 6 ps 1.3 lw 2 lc rgb '{}'", colour);
    case Mark::line:
      return fmt::format("using 1:2 with lines lw 1.6 lc rgb '{}'", colour);
    case Mark::dashed_line:
      return fmt::format("using 1:2 with lines lw 1.4 dt 2 lc rgb '{}'", colour);
    case Mark::band:
      return fmt::format("using 1:2:3 with filledcurves fs transparent solid 0.18 noborder lc rgb '{}'",
                         colour);
    case Mark::labels:
      return "using 1:2:3 with labels left font ',11' noenhanced";
  }
  return {};
}

std::string legend_commands(const Figure& figure) {
  const bool labelled = std::any_of(figure.series.begin(), figure.series.end(),
                                    [](const Series& series) { return !series.label.empty(); });
  if (!figure.legend || !labelled) return "unset key\n";
  std::string text = "set key outside right top Left reverse samplen 2 spacing 1.1 font ',11'";
  if (!figure.legend_title.empty()) text += fmt::format(" title {} noenhanced", literal(figure.legend_title));
  return text + "\n";
}

std::string terminal_of(const Figure& figure, Format format) {
  switch (format) {
    case Format::svg: {
      std::string name = figure.name;  // prefix of the ids in the picture: letters, digits and _
      std::replace(name.begin(), name.end(), '-', '_');
      return fmt::format("set terminal svg size 760,470 dynamic font 'Helvetica,13' name '{}'\n", name);
    }
    case Format::png:
      return "set terminal pngcairo size 1140,705 font 'Helvetica,13' fontscale 1.25 linewidth 1.4\n";
    case Format::pdf:
      return "set terminal pdfcairo size 16cm,10cm font 'Helvetica,10'\n";
  }
  return {};
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

// gnuplot calls its own script, which we leave out, to show the text over a point: make it a <title>, which
// browsers show by themselves. The text has no double quotes (quotable), and gnuplot has escaped & and <.
std::string with_native_hover(std::string_view svg) {
  constexpr std::string_view kBefore = " onmousemove=\"gnuplot_svg.showHypertext(evt,'";
  constexpr std::string_view kAfter = "')\" onmouseout=\"gnuplot_svg.hideHypertext()\"><title> </title>";
  std::string result;
  while (true) {
    const std::size_t begin = svg.find(kBefore);
    const std::size_t end = begin == svg.npos ? svg.npos : svg.find(kAfter, begin);
    if (end == svg.npos) return result.append(svg);
    const std::size_t text = begin + kBefore.size();
    result.append(svg.substr(0, begin)).append("><title>");
    result.append(svg.substr(text, end - text)).append("</title>");
    svg.remove_prefix(end + kAfter.size());
  }
}

// gnuplot writes a document; a page wants the element alone, with its black following the page's text colour.
std::string embeddable(std::string svg) {
  svg.erase(0, std::min(svg.find("<svg"), svg.size()));
  replace_all(svg, "stroke='black'", "stroke='currentColor'");
  replace_all(svg, "stroke=\"black\"", "stroke=\"currentColor\"");
  replace_all(svg, "color=\"black\"", "color=\"inherit\"");
  replace_all(svg, "fill=\"black\"", "fill=\"currentColor\"");
  replace_all(svg, "rgb(  0,   0,   0)", "currentColor");
  return with_native_hover(svg);
}

// Runs gnuplot on a script; its complaints go to `log`. Returns the exit status, or -1 when it cannot be started.
int run_gnuplot(std::vector<std::string> arguments, const Path& log) {
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC,
                                     0600);
  ::posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  std::vector<char*> environment;  // without the user's terminal: the script names its own
  for (char** variable = environ; *variable != nullptr; ++variable)
    if (!std::string_view(*variable).starts_with("GNUTERM=")) environment.push_back(*variable);
  environment.push_back(nullptr);
  pid_t child = 0;
  const int error = ::posix_spawnp(&child, argv[0], &actions, nullptr, argv.data(), environment.data());
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return -1;
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

// A folder for gnuplot's input and output, removed at the end of the scope.
class WorkFolder {
 public:
  explicit WorkFolder(const Path& parent) {
    std::string name = (parent.empty() ? Path(".") : parent) / "loglog-plot-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) throw IoError("cannot create folder", name, errno);
    path = name;
  }
  ~WorkFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;
  Path path;
};

}  // namespace

std::string short_number(double value, int digits) {
  const double size = std::abs(value);
  if (size >= 999.5 && size < 999.5e3) return fmt::format("{:.{}g}k", value / 1e3, digits);
  if (size >= 999.5e3 && size < 999.5e6) return fmt::format("{:.{}g}M", value / 1e6, digits);
  if (size < 999.5 && (size >= 1e-4 || size == 0)) return fmt::format("{:.{}g}", value, digits);
  return scientific(value, digits);
}

std::string gnuplot_script(const Figure& figure, Format format, const Path& output) {
  std::string data;
  std::string plot;
  Range x;
  Range y;
  for (std::size_t i = 0; i < figure.series.size(); ++i) {
    const Series& series = figure.series[i];
    LOGLOG_CHECK(series.x.size() == series.y.size(), "{} against {} in '{}'", series.x.size(),
                 series.y.size(), series.label);
    x.add(series.x, figure.x);
    y.add(series.y, figure.y);
    y.add(series.y2, figure.y);
    data += data_block(figure, series, i);
    const std::string title =
        series.label.empty() ? "notitle" : "title " + literal(series.label) + " noenhanced";
    plot += fmt::format("{}$data{} {} {}", plot.empty() ? "plot " : ", \\\n  ", i, style_of(series), title);
    if (!series.hover.empty() && series.mark != Mark::labels) {
      plot += fmt::format(
          ", \\\n  $data{} using 1:2:3 with labels hypertext point pt 7 ps 0.55 lc rgb '{}' notitle", i,
          colour_of(series));
    }
  }
  return terminal_of(figure, format) + fmt::format("set output {}\n", literal(output.native())) +
         fmt::format("set title {} noenhanced\n", literal(figure.title)) + axis_commands("x", figure.x, x) +
         axis_commands("y", figure.y, y) +
         "set grid lc rgb '#9a9a9a' lw 0.4 dt 3\nset tics nomirror\nset border 3\n" +
         legend_commands(figure) + data + plot + "\nunset output\n";
}

bool gnuplot_available() {
  return run_gnuplot({"gnuplot", "--version"}, "/dev/null") == 0;
}

std::string render(const Figure& figure, Format format, const Path& folder) {
  const WorkFolder work(folder);
  const Path script = work.path / "figure.gp";
  const Path output = work.path / "figure";
  const Path log = work.path / "log";
  write_atomically(real_file_system(), script, gnuplot_script(figure, format, output));
  const int status = run_gnuplot({"gnuplot", script.string()}, log);
  if (status < 0)
    throw RefusedError("gnuplot cannot be started: install it (Debian: apt-get install gnuplot-nox)");
  if (status != 0 || !std::filesystem::exists(output)) {
    throw Error(Exit::failed, fmt::format("gnuplot failed on figure '{}': {}", figure.name, read_text(log)));
  }
  std::string picture = read_text(output);
  return format == Format::svg ? embeddable(std::move(picture)) : picture;
}

std::string svg_document(const std::string& svg) {
  const std::size_t end_of_tag = std::min(svg.find('>'), svg.size());
  const std::string_view head = std::string_view(svg).substr(0, end_of_tag),
                         rest = std::string_view(svg).substr(end_of_tag);
  return fmt::format(
      "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n{}><style>svg {{ color: #1c1c1c; background: #fff }} "
      "@media "
      "(prefers-color-scheme: dark) {{ svg {{ color: #e8e8e8; background: #16181c }} }}</style{}\n",
      head, rest);
}

}  // namespace loglog::report

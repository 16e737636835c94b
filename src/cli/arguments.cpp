#include "cli/arguments.hpp"

#include <fmt/format.h>

#include <charconv>

#include "base/error.hpp"

namespace loglog::cli {

CLI::Validator not_empty() {
  return {[](const std::string& text) { return text.empty() ? "a name is missing" : std::string(); }, "",
          "not_empty"};
}

CLI::Validator number_between(double low, double high) {
  const std::string range = fmt::format("from {:g} to {:g}", low, high);
  return CLI::Validator(
      [=](const std::string& text) {
        double value = 0;
        const bool inside = CLI::detail::lexical_cast(text, value) && value >= low && value <= high;
        return inside ? std::string() : fmt::format("'{}' must be a number {}", text, range);
      },
      range);
}

CLI::Validator whole_between(std::uint64_t low, std::uint64_t high) {
  const std::string range = fmt::format("whole, from {} to {}", low, high);
  return CLI::Validator(
      [=](const std::string& text) {
        std::uint64_t value = 0;
        const char* end = text.data() + text.size();
        const auto parsed = std::from_chars(text.data(), end, value);
        const bool inside = parsed.ec == std::errc() && parsed.ptr == end && value >= low && value <= high;
        return inside ? std::string() : fmt::format("'{}' must be a number, {}", text, range);
      },
      range);
}

namespace {

// Whether `path` is in the folder or below it, be it there or not yet.
bool lies_in(const Path& path, const Path& folder) {
  std::error_code absent;
  for (Path above = std::filesystem::weakly_canonical(std::filesystem::absolute(path, absent), absent);
       above.has_relative_path();) {
    above = above.parent_path();
    if (std::filesystem::equivalent(above, folder, absent)) return true;
  }
  return false;
}

// A folder on the way that may not be looked into and a name that is too long are the argument's fault.
bool output_exists(const Path& output) {
  try {
    return path_exists(output);
  } catch (const IoError& error) {
    throw UsageError(error.what());
  }
}

}  // namespace

void refuse_overwriting(const Path& output, std::initializer_list<Path> inputs) {
  for (const Path& input : inputs) {
    std::error_code absent;
    const bool is_file_of_it = std::filesystem::exists(output, absent) && lies_in(output, input);
    if (!std::filesystem::equivalent(output, input, absent) && !is_file_of_it) continue;
    throw UsageError(fmt::format(
        "the output '{}' is {} '{}': choose another name", output.native(),
        std::filesystem::is_directory(input, absent) ? "in the input folder" : "the input", input.native()));
  }
}

void require_new_folder(const Path& output) {
  if (!output_exists(output)) return;
  std::error_code no_folder;
  if (std::filesystem::is_empty(output, no_folder) && !no_folder && std::filesystem::is_directory(output))
    return;
  throw UsageError(fmt::format("'{}' is there already: choose another name", output.native()));
}

void require_new_folder(const Path& output, const Path& input) {
  require_new_folder(output);
  if (lies_in(output, input))
    throw UsageError(fmt::format("the output '{}' would be in the input folder '{}': choose another name",
                                 output.native(), input.native()));
}

}  // namespace loglog::cli

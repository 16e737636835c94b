// Checks of arguments that several verbs share.
#pragma once
#include <CLI/CLI.hpp>
#include <initializer_list>

#include "base/file.hpp"

namespace loglog::cli {

CLI::Validator number_between(double low, double high);  // NaN is not, which CLI::Range lets through

CLI::Validator not_empty();

// Digits alone: CLI11 reads "-5" into an unsigned number as a huge one.
CLI::Validator whole_between(std::uint64_t low, std::uint64_t high);

// UsageError when `output` is one of the files that the command reads, or of those in a folder that it reads, under whatever name.
void refuse_overwriting(const Path& output, std::initializer_list<Path> inputs);

// UsageError when something is there already, an empty folder apart; and when it would lie in the folder `input`.
void require_new_folder(const Path& output);
void require_new_folder(const Path& output, const Path& input);

}  // namespace loglog::cli

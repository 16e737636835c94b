// The sub-verbs of `loglog data` and what they share.
#pragma once
#include <nlohmann/json.hpp>

#include "cli/verb.hpp"
#include "data/token_file.hpp"

namespace loglog::cli {

void add_data_import(CLI::App& data, const Environment& environment, Action& run);
void add_data_synth(CLI::App& data, const Environment& environment, Action& run);
void add_data_train_bpe(CLI::App& data, const Environment& environment, Action& run);
void add_data_mix(CLI::App& data, const Environment& environment, Action& run);
void add_data_info(CLI::App& data, const Environment& environment, Action& run);

// What a token file holds, for programs and for people.
nlohmann::json describe_as_json(const data::TokenFile& file);
std::string describe_as_text(const data::TokenFile& file);

}  // namespace loglog::cli

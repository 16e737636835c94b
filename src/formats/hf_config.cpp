#include "formats/hf_config.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.hpp"

namespace loglog::formats {
namespace {

// What says nothing about the function from tokens to logits, or only of training and of generation.
constexpr std::string_view kHarmless[] = {"architectures",
                                          "model_type",
                                          "transformers_version",
                                          "torch_dtype",
                                          "dtype",
                                          "use_cache",
                                          "bos_token_id",
                                          "eos_token_id",
                                          "pad_token_id",
                                          "sep_token_id",
                                          "unk_token_id",
                                          "initializer_range",
                                          "initializer_factor",
                                          "init_std",
                                          "layerdrop",
                                          "pretraining_tp",
                                          "problem_type",
                                          "task_specific_params",
                                          "gradient_checkpointing",
                                          "is_decoder",
                                          "prefix",
                                          "id2label",
                                          "label2id",
                                          "return_dict",
                                          "output_attentions",
                                          "output_hidden_states",
                                          "model_max_length",
                                          "chunk_size_feed_forward",
                                          "reorder_and_upcast_attn",
                                          "n_ctx"};

bool is_harmless(std::string_view key) {
  return key.starts_with("_") || key.starts_with("summary_") || key.find("drop") != std::string_view::npos ||
         std::ranges::find(kHarmless, key) != std::end(kHarmless);
}

std::string value_text(const JsonValue& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return fmt::format("'{}'", *text);
  if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "true" : "false";
  if (const auto* whole = std::get_if<std::int64_t>(&value)) return fmt::format("{}", *whole);
  return fmt::format("{}", std::get<double>(value));
}

}  // namespace

HfConfig::HfConfig(const Path& path)
    : path_(path), json_(read_model_file(path), path.native(), JsonNulls::left_out) {}

const JsonValue* HfConfig::find(const std::string& key) const {
  read_.insert(key.substr(0, key.find('/')));
  if (json_.list_size(key) || json_.has_object(key))
    refuse(key, fmt::format("{} where one value is expected", json_.list_size(key) ? "a list" : "an object"));
  const auto found = json_.values().find(key);
  return found == json_.values().end() ? nullptr : &found->second;
}

bool HfConfig::has(const std::string& key) const {
  read_.insert(key.substr(0, key.find('/')));
  if (json_.contains(key)) return true;
  const auto below = json_.values().lower_bound(key + "/");
  return below != json_.values().end() && below->first.starts_with(key + "/");
}

void HfConfig::refuse(const std::string& key, std::string_view what) const {
  throw InputError(fmt::format("'{}': key '{}': {}", path_.native(), key, what));
}

Index HfConfig::whole(const std::string& key, Index low, Index high) const {
  const JsonValue* value = find(key);
  if (value == nullptr) refuse(key, "it is missing");
  const auto* number = std::get_if<std::int64_t>(value);
  if (number == nullptr || *number < low || *number > high)
    refuse(key, fmt::format("{} is no whole number from {} to {}", value_text(*value), low, high));
  return *number;
}

std::string HfConfig::text(const std::string& key) const {
  const JsonValue* value = find(key);
  if (value == nullptr) refuse(key, "it is missing");
  const auto* text = std::get_if<std::string>(value);
  if (text == nullptr) refuse(key, fmt::format("{} is no text", value_text(*value)));
  return *text;
}

Index HfConfig::whole_or(const std::string& key, Index usual, Index low, Index high) const {
  return find(key) == nullptr ? usual : whole(key, low, high);
}

double HfConfig::real_or(const std::string& key, double usual, double low, double high) const {
  const JsonValue* value = find(key);
  if (value == nullptr) return usual;
  const auto* whole = std::get_if<std::int64_t>(value);
  const auto* real = std::get_if<double>(value);
  const double number = whole != nullptr  ? static_cast<double>(*whole)
                        : real != nullptr ? *real
                                          : std::nan("");
  if (!(number >= low && number <= high))
    refuse(key, fmt::format("{} is no number from {} to {}", value_text(*value), low, high));
  return number;
}

float HfConfig::epsilon_or(const std::string& key, double usual) const {
  return static_cast<float>(real_or(key, usual, 1e-12, 1));
}

bool HfConfig::flag_or(const std::string& key, bool usual) const {
  const JsonValue* value = find(key);
  if (value == nullptr) return usual;
  const auto* flag = std::get_if<bool>(value);
  if (flag == nullptr) refuse(key, fmt::format("{} is neither true nor false", value_text(*value)));
  return *flag;
}

std::string HfConfig::text_or(const std::string& key, const std::string& usual) const {
  return find(key) == nullptr ? usual : text(key);
}

void HfConfig::require_flag(const std::string& key, bool usual, bool covered, std::string_view why) const {
  if (flag_or(key, usual) == covered) return;
  refuse(key, fmt::format("{} is not covered: {}; it must be {}", !covered, why, covered));
}

void HfConfig::require_absent(const std::string& key, std::string_view why) const {
  if (!has(key)) return;
  const auto value = json_.values().find(key);
  refuse(key, fmt::format("{}is not covered: {}; it must be null",
                          value == json_.values().end() ? "" : value_text(value->second) + " ", why));
}

void HfConfig::require_object(const std::string& key) const {
  if (json_.list_size(key) || json_.contains(key)) refuse(key, "it must be an object");
}

std::vector<std::string> HfConfig::unread() const {
  std::vector<std::string> keys;
  for (const auto& [path, value] : json_.values()) {
    const std::string key = path.substr(0, path.find('/'));
    if (read_.contains(key) || is_harmless(key) || (!keys.empty() && keys.back() == key)) continue;
    keys.push_back(key);
  }
  return keys;
}

}  // namespace loglog::formats

#include "predict/prediction_file.hpp"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "base/json_text.hpp"

namespace loglog::predict {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kSchema = 1;

Json to_json(const Basis& b) {
  return {{"schema", kSchema},
          {"sweep", b.sweep},
          {"law", b.law},
          {"formula", b.formula},
          {"floorless_law", b.floorless_law},
          {"interval", b.interval},
          {"fitted_sweep", b.fitted_sweep},
          {"fitted_runs", b.fitted_runs},
          {"largest_C", b.largest_C},
          {"fitted_results", b.fitted_results},
          {"data_checksum", b.data_checksum},
          {"rules", b.rules}};
}

Json to_json(const Prediction& p) {
  return {{"run", p.run},     {"name", p.name},   {"size", p.size},           {"N", p.N},
          {"D", p.D},         {"C", p.C},         {"seed", p.seed},           {"lr", p.lr},
          {"batch", p.batch}, {"loss", p.loss},   {"law_lo", p.law.low},      {"law_hi", p.law.high},
          {"lo", p.one.low},  {"hi", p.one.high}, {"floorless", p.floorless}, {"unchanged", p.unchanged}};
}

// Fields of one line; what is missing or of another kind is an InputError with its place.
class Line {
 public:
  Line(std::string_view text, std::string_view name, int number)
      : where_(fmt::format("{}:{}", name, number)) {
    json_ = Json::parse(text, nullptr, false);
    if (!json_.is_object()) throw InputError(fmt::format("{}: no JSON object", where_));
  }
  double number(const char* key) const {
    const Json& value = field(key);
    if (!value.is_number() || !std::isfinite(value.get<double>()))
      throw InputError(fmt::format("{}: {} is {}, it must be a finite number", where_, key, value.dump()));
    return value.get<double>();
  }
  std::int64_t whole(const char* key) const {
    const Json& value = field(key);
    if (!value.is_number_integer())
      throw InputError(fmt::format("{}: {} is {}, it must be a whole number", where_, key, value.dump()));
    return value.get<std::int64_t>();
  }
  std::string text(const char* key) const {
    const Json& value = field(key);
    if (!value.is_string())
      throw InputError(fmt::format("{}: {} is {}, it must be text", where_, key, value.dump()));
    return value.get<std::string>();
  }
  std::map<std::string, std::string> texts(const char* key) const {
    std::map<std::string, std::string> map;
    for (const auto& [name, value] : field(key).items())
      map[name] = value.is_string() ? value.get<std::string>() : value.dump();
    return map;
  }
  const std::string& where() const { return where_; }

 private:
  const Json& field(const char* key) const {
    const auto found = json_.find(key);
    if (found == json_.end()) throw InputError(fmt::format("{}: '{}' is missing", where_, key));
    return *found;
  }
  std::string where_;
  Json json_;
};

Basis read_basis(const Line& line) {
  if (line.whole("schema") != kSchema)
    throw InputError(
        fmt::format("{}: schema is {}, this loglog reads {}", line.where(), line.whole("schema"), kSchema));
  Basis b;
  b.sweep = line.text("sweep");
  b.law = line.text("law");
  b.formula = line.text("formula");
  b.floorless_law = line.text("floorless_law");
  b.interval = line.text("interval");
  b.fitted_sweep = line.text("fitted_sweep");
  b.fitted_runs = static_cast<int>(line.whole("fitted_runs"));
  b.largest_C = line.number("largest_C");
  b.fitted_results = line.text("fitted_results");
  b.data_checksum = line.text("data_checksum");
  b.rules = line.texts("rules");
  return b;
}

Prediction read_prediction(const Line& line) {
  Prediction p;
  p.run = line.text("run");
  p.name = line.text("name");
  p.size = line.text("size");
  p.N = line.number("N"), p.D = line.number("D"), p.C = line.number("C");
  p.seed = line.whole("seed");
  p.lr = line.number("lr");
  p.batch = line.whole("batch");
  p.loss = line.number("loss");
  p.law = {line.number("law_lo"), line.number("law_hi")};
  p.one = {line.number("lo"), line.number("hi")};
  p.floorless = line.number("floorless");
  p.unchanged = line.number("unchanged");
  if (!(p.one.low <= p.loss && p.loss <= p.one.high))
    throw InputError(
        fmt::format("{}: the loss {} is not within {} to {}", line.where(), p.loss, p.one.low, p.one.high));
  return p;
}

}  // namespace

std::string to_jsonl(const PredictionSet& set) {
  std::string text = json_text(to_json(set.basis)) + "\n";
  for (const Prediction& p : set.list) text += json_text(to_json(p)) + "\n";
  return text;
}

PredictionSet read_predictions(std::string_view text, std::string_view name) {
  PredictionSet set;
  int number = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const Line line(text.substr(0, end), name, ++number);
    if (number == 1)
      set.basis = read_basis(line);
    else
      set.list.push_back(read_prediction(line));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  if (set.list.empty()) throw InputError(fmt::format("{}: there is no prediction in it", name));
  return set;
}

}  // namespace loglog::predict

#include "sweep/table.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <type_traits>
#include <utility>

#include "base/error.hpp"
#include "model/config.hpp"
#include "model/count.hpp"

namespace loglog::sweep {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kLineSchema = 1;

// What an end event says that has columns of its own, or that is the same everywhere.
constexpr std::string_view kNotRepeated[] = {"schema", "event", "status", "val_loss", "step", "error"};
// What differs between machines and moments while the result is the same.
constexpr std::string_view kTiming[] = {"seconds",        "train_seconds", "tokens_per_s", "threads",
                                        "resident_bytes", "peak_bytes",    "binary",       "train.threads"};

template <std::size_t n>
bool contains(const std::string_view (&list)[n], std::string_view key) {
  return std::find(std::begin(list), std::end(list), key) != std::end(list);
}

// A JSON text of the store, `what` of this run; an empty one is an empty object.
Json parse_stored(const std::string& text, const char* what, const RunSpec& spec) {
  if (text.empty()) return Json::object();
  Json parsed = Json::parse(text, nullptr, false);
  if (!parsed.is_object())
    throw InputError(fmt::format("the store is damaged: the {} of run '{}' is no JSON", what, spec.name));
  return parsed;
}

// {"a": {"b": 1}} as a.b = 1.
void flatten(const Json& node, const std::string& prefix, Json& out) {
  for (const auto& [key, value] : node.items()) {
    std::string name = prefix.empty() ? key : prefix;
    if (!prefix.empty()) name.append(".").append(key);
    if (value.is_structured())
      flatten(value, name, out);
    else
      out[name] = value;
  }
}

Json csv_row(const RunRow& run, Timing timing) {
  Json row;
  row["run"] = run.spec.identity;
  row["sweep"] = run.spec.sweep;
  row["name"] = run.spec.name;
  row["size"] = run.spec.size;
  row["status"] = state_name(run.state);
  row["budget"] = run.spec.budget;
  row["C"] = run.spec.c;
  row["N"] = run.spec.n;
  row["D"] = run.spec.d;
  row["loss"] = run.loss ? Json(*run.loss) : Json();
  row["seed"] = run.spec.seed;
  Json rest;
  flatten(parse_stored(run.end, "end event", run.spec), "", rest);
  flatten(parse_stored(run.spec.config, "configuration", run.spec), "", rest);
  for (const auto& [key, value] : rest.items()) {
    if (contains(kNotRepeated, key)) continue;
    if (timing == Timing::no && contains(kTiming, key)) continue;
    if (!row.contains(key)) row[key] = value;
  }
  row["data_checksum"] = run.spec.data_checksum;
  row["error"] = run.error;
  return row;
}

std::string csv_field(const Json& value) {
  if (value.is_null()) return "";
  std::string text = value.is_string() ? value.get<std::string>() : value.dump();
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

Json line_of(const RunSpec& spec, const Outcome& outcome, Timing timing) {
  Json line;
  line["schema"] = kLineSchema;
  line["run"] = spec.identity;
  line["sweep"] = spec.sweep;
  line["name"] = spec.name;
  line["size"] = spec.size;
  line["status"] = state_name(outcome.state);
  line["budget"] = spec.budget;
  line["C"] = spec.c;
  line["N"] = spec.n;
  line["D"] = spec.d;
  if (outcome.loss) line["loss"] = *outcome.loss;
  line["seed"] = spec.seed;
  line["data_checksum"] = spec.data_checksum;
  if (!spec.parent.empty()) line["parent"] = spec.parent, line["fork_step"] = spec.fork_step;
  if (timing == Timing::yes) line["seconds"] = outcome.seconds;
  if (!outcome.error.empty()) line["error"] = outcome.error;
  line["config"] = parse_stored(spec.config, "configuration", spec);
  line["end"] = parse_stored(outcome.end, "end event", spec);
  if (timing == Timing::no)
    for (const std::string_view key : kTiming) line["end"].erase(std::string(key));
  Json curve = Json::array();
  for (const CurvePoint& p : outcome.curve) {
    curve.push_back({p.step, p.tokens, p.train_loss ? Json(*p.train_loss) : Json(),
                     p.val_loss ? Json(*p.val_loss) : Json()});
  }
  line["curve"] = std::move(curve);
  return line;
}

bool is_result(State state) {
  return state == State::done || state == State::diverged;
}

std::optional<double> optional_number(const Json& value) {
  return value.is_null() ? std::nullopt : std::optional(value.get<double>());
}

// The field of a line, as a T.
template <class T>
T field(const Json& line, const char* key, std::string_view where) {
  const auto found = line.find(key);
  if (found == line.end()) throw InputError(fmt::format("{}: '{}' is missing", where, key));
  const bool fits = std::is_same_v<T, std::string> ? found->is_string()
                    : std::is_integral_v<T>        ? found->is_number_integer()
                                            : found->is_number() && std::isfinite(found->get<double>());
  if (!fits) {
    throw InputError(fmt::format("{}: {} is {}, it must be a {}", where, key, found->dump().substr(0, 60),
                                 std::is_same_v<T, std::string> ? "text"
                                 : std::is_integral_v<T>        ? "whole number"
                                                                : "finite number"));
  }
  return found->get<T>();
}

// What a line says of a run that its configuration says too.
void require_equal(const char* key, double value, double expected, std::string_view where) {
  if (value != expected)
    throw InputError(fmt::format("{}: {} is {}, by its configuration {}", where, key, value, expected));
}

RunSpec read_spec(const Json& line, std::string_view where) {
  RunSpec spec;
  const model::RunConfig config = model::from_json(line.at("config").dump(), where);
  spec.data_checksum = field<std::string>(line, "data_checksum", where);
  spec.identity = model::identity(config, spec.data_checksum);
  if (line.at("run") != spec.identity) {
    throw InputError(fmt::format("{}: run is {}, but its configuration and data are run \"{}\"", where,
                                 line.at("run").dump(), spec.identity));
  }
  spec.config = model::to_json(config);
  spec.sweep = field<std::string>(line, "sweep", where);
  spec.name = field<std::string>(line, "name", where);
  spec.size = field<std::string>(line, "size", where);
  spec.budget = field<double>(line, "budget", where);
  if (spec.budget < 0)
    throw InputError(fmt::format("{}: budget is {}, it must not be negative", where, spec.budget));
  spec.seed = field<std::int64_t>(line, "seed", where);
  spec.n = field<double>(line, "N", where);
  spec.d = field<double>(line, "D", where);
  spec.c = field<double>(line, "C", where);
  require_equal("seed", static_cast<double>(spec.seed), static_cast<double>(config.train.seed), where);
  require_equal("N", spec.n, model::count_parameters(config.model).n_matrix, where);
  require_equal("D", spec.d,
                static_cast<double>(config.train.steps * config.train.batch * config.model.context), where);
  require_equal("C", spec.c, spec.d * model::count_flops_per_token(config.model).math, where);
  spec.parent = line.value("parent", "");
  spec.fork_step = line.value("fork_step", std::int64_t{0});
  if (spec.parent == spec.identity) throw InputError(fmt::format("{}: the run is its own parent", where));
  return spec;
}

Outcome read_outcome(const Json& line, std::string_view where) {
  Outcome outcome;
  const auto status = field<std::string>(line, "status", where);
  constexpr std::string_view kResults[] = {"done", "diverged", "failed"};
  if (!contains(kResults, status))
    throw InputError(fmt::format("{}: status '{}' is no result: done, diverged or failed", where, status));
  outcome.state = parse_state(status);
  const Json& end = line.at("end");
  if (end.value("status", status) != status) {
    throw InputError(
        fmt::format("{}: status is '{}', in its end event {}", where, status, end.at("status").dump()));
  }
  if ((outcome.state == State::done) != line.contains("loss"))
    throw InputError(fmt::format("{}: a done run has a loss, another has none", where));
  if (line.contains("loss")) {
    outcome.loss = field<double>(line, "loss", where);
    if (!(*outcome.loss > 0 && *outcome.loss < 1e3))
      throw InputError(fmt::format("{}: loss is {}, no loss of a run in nats", where, *outcome.loss));
    const Json& last = end.at("val_loss");
    if (last != *outcome.loss) {
      throw InputError(fmt::format("{}: loss is {}, in its end event {}", where, *outcome.loss, last.dump()));
    }
  }
  if (line.contains("seconds")) outcome.seconds = field<double>(line, "seconds", where);
  if (outcome.seconds < 0)
    throw InputError(fmt::format("{}: seconds is {}, it must not be negative", where, outcome.seconds));
  outcome.error = line.value("error", "");
  outcome.end = end.dump();
  for (const Json& p : line.at("curve"))
    outcome.curve.push_back({p.at(0), p.at(1), optional_number(p.at(2)), optional_number(p.at(3))});
  const auto not_after = [](const CurvePoint& a, const CurvePoint& b) { return a.step >= b.step; };
  if (std::adjacent_find(outcome.curve.begin(), outcome.curve.end(), not_after) != outcome.curve.end())
    throw InputError(fmt::format("{}: the steps of the curve must ascend", where));
  return outcome;
}

FinishedRun read_result(const Json& line, std::string_view where) {
  return {read_spec(line, where), read_outcome(line, where)};
}

// A line without its end that is no JSON is what a killed writer leaves: the lines before it are whole.
template <class Run>
Lines<Run> read_lines(std::string_view text, std::string_view name,
                      Run (*read)(const Json&, std::string_view)) {
  Lines<Run> lines;
  for (int number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const bool is_whole = end < text.size();
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const std::string where = fmt::format("{}:{}", name, number);
    if (!is_whole && !Json::accept(line)) {
      lines.torn = where;
      break;
    }
    try {
      const Json json = Json::parse(line);
      if (!json.is_object()) throw InputError(fmt::format("{}: a line must be a JSON object", where));
      if (const Json schema = json.value("schema", Json()); schema != kLineSchema)
        throw InputError(fmt::format("{}: schema is {}, expected {}", where, schema.dump(), kLineSchema));
      lines.runs.push_back(read(json, where));
    } catch (const Json::exception& error) {
      throw InputError(fmt::format("{}: {}", where, error.what()));
    }
  }
  return lines;
}

}  // namespace

std::string export_csv(const Store& store, Timing timing) {
  std::vector<Json> rows;
  std::vector<std::string> columns = {"run", "sweep", "name", "size", "status", "budget",
                                      "C",   "N",     "D",    "loss", "seed"};  // also of no rows
  for (const RunRow& run : store.runs_by_sweep()) {
    if (!is_result(run.state) && run.state != State::failed && run.state != State::abandoned) continue;
    rows.push_back(csv_row(run, timing));
    for (const auto& [key, value] : rows.back().items())
      if (std::find(columns.begin(), columns.end(), key) == columns.end()) columns.push_back(key);
  }
  std::vector<std::string> header;
  for (const std::string& column : columns) header.push_back(csv_field(column));
  std::string out = fmt::format("{}\n", fmt::join(header, ","));
  for (const Json& row : rows) {
    for (std::size_t i = 0; i < columns.size(); ++i) {
      if (i > 0) out += ',';
      if (row.contains(columns[i])) out += csv_field(row[columns[i]]);
    }
    out += '\n';
  }
  return out;
}

std::string export_jsonl(const Store& store, Timing timing) {
  std::string out;
  for (const RunRow& run : store.runs_by_sweep()) {
    if (!is_result(run.state)) continue;
    const Outcome outcome = {run.state, run.loss, run.seconds, run.end, run.error, store.curve(run.id)};
    out += result_line(run.spec, outcome, timing);
  }
  return out;
}

std::string result_line(const RunSpec& spec, const Outcome& outcome, Timing timing) {
  return line_of(spec, outcome, timing).dump() + "\n";
}

std::string planned_line(const RunSpec& spec) {
  Outcome nothing;
  nothing.state = State::queued;
  Json line = line_of(spec, nothing, Timing::no);
  line.erase("end");
  line.erase("curve");
  return line.dump() + "\n";
}

Lines<FinishedRun> read_jsonl(std::string_view text, std::string_view name) {
  return read_lines<FinishedRun>(text, name, read_result);
}

Lines<RunSpec> read_planned(std::string_view text, std::string_view name) {
  return read_lines<RunSpec>(text, name, read_spec);
}

}  // namespace loglog::sweep

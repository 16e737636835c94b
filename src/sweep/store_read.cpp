// What reports and exports read from the store.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <set>
#include <sstream>
#include <tuple>

#include "base/error.hpp"
#include "sweep/store_schema.hpp"

namespace loglog::sweep {

RunSpec read_spec(const Statement& row, int first_column) {
  RunSpec spec;
  int column = first_column;
  spec.identity = row.text(column++);
  spec.sweep = row.text(column++);
  spec.name = row.text(column++);
  spec.size = row.text(column++);
  spec.config = row.text(column++);
  spec.data_checksum = row.text(column++);
  spec.budget = row.real(column++);
  spec.seed = row.integer(column++);
  spec.n = row.real(column++);
  spec.d = row.real(column++);
  spec.c = row.real(column++);
  spec.memory_bytes = row.real(column++);
  spec.seconds = row.real(column++);
  spec.threads = static_cast<int>(row.integer(column++));
  spec.parent = row.text(column++);
  spec.fork_step = row.integer(column++);
  return spec;
}

std::map<State, std::int64_t> Store::counts(const std::string& sweep) const {
  std::map<State, std::int64_t> counts;
  Statement rows = database_.prepare(
      fmt::format("SELECT state, count(*) FROM run r WHERE {} GROUP BY state", belongs_to("?1")));
  rows.bind(sweep);
  while (rows.step()) counts[parse_state(rows.text(0))] = rows.integer(1);
  return counts;
}

// A run that waits for its parent counts once the parent is done: until then the parent is there itself.
std::vector<WaitingRuns> Store::waiting(const std::string& sweep) const {
  std::vector<WaitingRuns> waiting;
  Statement rows = database_.prepare(fmt::format(
      "SELECT r.threads, sum(r.state <> 'running'), sum(r.state = 'running'), "
      "sum(r.seconds * coalesce(1 - min(1.0, 1.0 * r.step / json_extract(r.config, '$.train.steps')), 1)), "
      "max(r.memory_bytes) "
      "FROM run r LEFT JOIN run p ON p.id = r.parent WHERE {} AND (r.state = 'running' OR (r.state IN "
      "('queued', 'checkpointed') AND (r.parent IS NULL OR p.state = 'done'))) "
      "GROUP BY r.threads ORDER BY r.threads",
      belongs_to("?1")));
  rows.bind(sweep);
  while (rows.step()) {
    waiting.push_back(
        {static_cast<int>(rows.integer(0)), rows.integer(1), rows.integer(2), rows.real(3), rows.real(4)});
  }
  return waiting;
}

std::vector<std::string> Store::running(const std::string& sweep) const {
  std::vector<std::string> names;
  Statement rows =
      database_.prepare(fmt::format("SELECT m.name, r.step FROM run r JOIN member m ON m.run = r.id WHERE "
                                    "r.state = 'running' AND {} ORDER BY "
                                    "r.id",
                                    is_first_of("?1")));
  rows.bind(sweep);
  while (rows.step()) names.push_back(fmt::format("{}, step {}", rows.text(0), rows.integer(1)));
  return names;
}

bool Store::has_waiting_child(std::string_view identity) const {
  Statement child = database_.prepare(
      "SELECT 1 FROM run r JOIN run p ON p.id = r.parent WHERE p.identity = ? AND r.state NOT IN ('done', "
      "'diverged')");
  return child.bind(identity).step();
}

std::set<std::string> Store::sweeps() const {
  std::set<std::string> names;
  Statement rows = database_.prepare("SELECT DISTINCT sweep FROM member WHERE sweep <> ''");
  while (rows.step()) names.insert(rows.text(0));
  return names;
}

std::vector<RunRow> Store::runs() const {
  return rows("m.id = (SELECT min(id) FROM member WHERE run = r.id)");
}

std::vector<RunRow> Store::runs_by_sweep() const {
  return rows("true");
}

std::vector<RunRow> Store::runs_of(const std::string& sweep) const {
  const std::set<std::string> names = sweeps();
  if (sweep.empty() ? names.size() > 1 : !names.contains(sweep)) {
    throw UsageError(fmt::format("{} holds the runs of {}: choose one with --sweep NAME", path().native(),
                                 fmt::join(names, ", ")));
  }
  return rows(is_of("?1"), sweep);
}

std::vector<RunRow> Store::rows(const std::string& condition,
                                const std::optional<std::string>& parameter) const {
  std::vector<RunRow> runs;
  Statement rows = database_.prepare(
      fmt::format("SELECT r.id, {}, r.state, r.crashes, r.step, t.loss, t.seconds, t.end, t.error FROM {} "
                  "LEFT JOIN result t ON t.run = r.id WHERE {}",
                  kSpecColumns, kSpecTables, condition));
  if (parameter) rows.bind(*parameter);
  while (rows.step()) {
    RunRow run;
    run.id = rows.integer(0);
    run.spec = read_spec(rows, 1);
    int column = 1 + kSpecColumnCount;
    run.state = parse_state(rows.text(column++));
    run.crashes = static_cast<int>(rows.integer(column++));
    run.step = rows.integer(column++);
    if (!rows.is_null(column)) run.loss = rows.real(column);
    ++column;
    run.seconds = rows.real(column++);
    run.end = rows.text(column++);
    run.error = rows.text(column++);
    runs.push_back(std::move(run));
  }
  // SQLite would sort the texts of all rows with them, by way of a file.
  const auto key = [](const RunRow& run) {
    const RunSpec& s = run.spec;
    return std::tie(s.budget, s.n, s.d, s.seed, s.name, s.identity, s.sweep);
  };
  std::sort(runs.begin(), runs.end(), [&](const RunRow& a, const RunRow& b) { return key(a) < key(b); });
  return runs;
}

std::vector<CurvePoint> Store::curve(std::int64_t run) const {
  std::vector<CurvePoint> points;
  Statement rows =
      database_.prepare("SELECT step, tokens, train_loss, val_loss FROM curve WHERE run = ? ORDER BY step");
  rows.bind(run);
  while (rows.step()) {
    CurvePoint point{rows.integer(0), rows.real(1), std::nullopt, std::nullopt};
    if (!rows.is_null(2)) point.train_loss = rows.real(2);
    if (!rows.is_null(3)) point.val_loss = rows.real(3);
    points.push_back(point);
  }
  return points;
}

namespace {

std::optional<std::string> lookup(Database& database, const char* sql, const std::string& key) {
  Statement row = database.prepare(sql);
  if (!row.bind(key).step()) return std::nullopt;
  return row.text(0);
}

}  // namespace

std::optional<std::string> Store::calibration(const std::string& key) const {
  return lookup(database_, "SELECT value FROM calibration WHERE key = ?", key);
}

void Store::save_calibration(const std::string& key, const std::string& value) {
  database_.prepare("INSERT OR REPLACE INTO calibration (key, value) VALUES (?, ?)").bind(key, value).run();
}

std::optional<std::string> Store::note(const std::string& key) const {
  return lookup(database_, "SELECT value FROM note WHERE key = ?", key);
}

void Store::save_note(const std::string& key, const std::string& value) {
  database_.prepare("INSERT OR REPLACE INTO note (key, value) VALUES (?, ?)").bind(key, value).run();
}

std::vector<std::string> Store::commands(const std::string& sweep) const {
  // Stores of earlier versions kept the last command alone, whatever sweep it was for.
  std::istringstream text(note("command " + sweep).value_or(note("command").value_or("")));
  std::vector<std::string> commands;
  for (std::string line; std::getline(text, line);) commands.push_back(line);
  return commands;
}

void Store::add_command(const std::string& sweep, const std::string& command) {
  Transaction transaction(database_);
  std::vector<std::string> all = commands(sweep);
  if (std::find(all.begin(), all.end(), command) == all.end()) all.push_back(command);
  save_note("command " + sweep, fmt::format("{}", fmt::join(all, "\n")));
  transaction.commit();
}

void Store::verify() const {
  const auto require_none = [&](const char* sql, const char* breach) {
    Statement rows = database_.prepare(sql);
    if (rows.step())
      throw InputError(fmt::format("store '{}': {} ({})", path().native(), breach, rows.text(0)));
  };
  Statement integrity = database_.prepare("PRAGMA integrity_check");
  integrity.step();
  if (integrity.text(0) != "ok")
    throw InputError(fmt::format("store '{}' is damaged: {}", path().native(), integrity.text(0)));
  require_none("SELECT \"table\" FROM pragma_foreign_key_check", "a row points to a run that is not there");
  require_none(
      "SELECT m.name FROM run r JOIN member m ON m.run = r.id LEFT JOIN result t ON t.run = r.id "
      "WHERE NOT json_valid(r.config) OR (t.end <> '' AND NOT json_valid(t.end))",
      "a configuration or an end event that is no JSON");
  require_none("SELECT identity FROM run WHERE id NOT IN (SELECT run FROM member)",
               "a run that no sweep planned");
  require_none(
      "SELECT m.name FROM run r JOIN member m ON m.run = r.id LEFT JOIN result t ON t.run = r.id WHERE "
      "r.state IN "
      "('done', 'diverged', 'failed') AND (t.state IS NULL OR t.state <> r.state)",
      "a finished run without its result");
  require_none(
      "SELECT m.name FROM run r JOIN member m ON m.run = r.id JOIN result t ON t.run = r.id WHERE r.state "
      "NOT IN "
      "('done', 'diverged', 'failed')",
      "a result of a run that is not finished");
}

}  // namespace loglog::sweep

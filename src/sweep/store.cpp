#include "sweep/store.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <nlohmann/json.hpp>

#include "base/check.hpp"
#include "base/error.hpp"
#include "model/checkpoint.hpp"
#include "sweep/store_schema.hpp"

#if defined(__linux__)
#include <sys/vfs.h>
#endif

namespace loglog::sweep {
namespace {

constexpr std::array<std::string_view, 7> kStateNames = {"queued",   "running",      "done",     "failed",
                                                         "diverged", "checkpointed", "abandoned"};

struct NetworkFilesystem {
  std::int64_t type;
  const char* name;
};
// Magic numbers from statfs(2) and the kernel's magic.h.
constexpr NetworkFilesystem kNetworkFilesystems[] = {
    {0x6969, "NFS"},        {0x517b, "SMB"},          {0xfe534d42, "SMB2"},   {0xff534d42, "CIFS"},
    {0x5346414f, "AFS"},    {0x00c36400, "Ceph"},     {0x0bd00bd0, "Lustre"}, {0x47504653, "GPFS"},
    {0x19830326, "BeeGFS"}, {0x20030528, "OrangeFS"}, {0x7461636f, "OCFS2"},
};

void refuse_network_filesystem(const Path& path, FilesystemProbe probe) {
  const Path folder = path.has_parent_path() ? path.parent_path() : Path(".");
  const std::int64_t type = probe(folder) & 0xffffffff;
  for (const NetworkFilesystem& fs : kNetworkFilesystems) {
    if (fs.type != type) continue;
    throw Error(Exit::store_busy,
                fmt::format("store '{}' lies on a network filesystem ({}), whose locks SQLite cannot trust; "
                            "keep one store per machine on a local disk, export JSONL and fold it together "
                            "with `loglog store merge`",
                            path.native(), fs.name));
  }
}

// Under another name first: a process that dies here leaves no half-made store, and of several that make the
// same one the first wins.
void make_store(const Path& path) {
  const Path fresh = temporary_beside(path);
  FileSystem& fs = real_file_system();
  try {
    Database database(fresh, path);
    Transaction transaction(database);
    database.execute(kSchemaSql);
    database.execute(fmt::format("PRAGMA application_id={}", kApplicationId));
    database.execute(fmt::format("PRAGMA user_version={}", kStoreSchema));
    transaction.commit();
  } catch (...) {
    std::error_code ignored;
    std::filesystem::remove(fresh, ignored);
    throw;
  }
  if (::link(fresh.c_str(), path.c_str()) != 0 && errno != EEXIST) {
    fs.rename(fresh, path);  // a file system without hard links
  } else {
    fs.remove(fresh);
  }
  fs.sync_directory(path.parent_path());
}

const Path& checked_path(const Path& path, Store::Mode mode, FilesystemProbe probe) {
  std::error_code ignored;
  if (mode != Store::Mode::create && !std::filesystem::exists(path, ignored)) {
    throw InputError(
        fmt::format("there is no store '{}'; `loglog sweep run CONFIG` makes one", path.native()));
  }
  if (mode != Store::Mode::read) refuse_network_filesystem(path, probe);
  if (mode == Store::Mode::create && !std::filesystem::exists(path, ignored)) make_store(path);
  return path;
}

// Tables are sorted by cost, and a fork may be cheaper than the run that it continues.
std::vector<const FinishedRun*> parents_first(std::span<const FinishedRun> results) {
  std::multimap<std::string_view, const FinishedRun*> children;  // by their parent among these results
  std::set<std::string_view> here;
  for (const FinishedRun& result : results) here.insert(result.first.identity);
  std::vector<const FinishedRun*> order;
  for (const FinishedRun& result : results) {
    if (here.contains(result.first.parent))
      children.emplace(result.first.parent, &result);
    else
      order.push_back(&result);
  }
  for (std::size_t i = 0; i < order.size(); ++i) {
    const auto [first, last] = children.equal_range(order[i]->first.identity);
    for (auto child = first; child != last; ++child) order.push_back(child->second);
    children.erase(first, last);  // a run may be there twice, once for each of two sweeps
  }
  return order;
}

}  // namespace

void require_writable_store(const Path& path) {
  std::string reason;
  try {
    check_writable(real_file_system(), path);
    check_writable(real_file_system(), path.native() + "-journal");  // SQLite's, which names the old pages
  } catch (const IoError& error) {
    reason = error.what();
  }
  std::error_code ignored;
  if (reason.empty() && std::filesystem::exists(path, ignored) && ::access(path.c_str(), W_OK) != 0)
    reason = IoError("cannot write", path.native(), errno).what();
  if (!reason.empty()) throw RefusedError(fmt::format("the store has no place there: {}", reason));
}

bool is_store(const Path& path) {
  constexpr std::string_view kMagic = "SQLite format 3";
  std::error_code ignored;
  if (!std::filesystem::is_regular_file(path, ignored)) return false;
  std::string head(kMagic.size(), '\0');
  std::ifstream(path, std::ios::binary).read(head.data(), static_cast<std::streamsize>(head.size()));
  return head == kMagic;
}

std::int64_t filesystem_type([[maybe_unused]] const Path& folder) {
#if defined(__linux__)
  struct statfs status {};
  if (::statfs(folder.c_str(), &status) == 0) return static_cast<std::int64_t>(status.f_type);
#endif
  return 0;
}

std::string_view state_name(State state) {
  return kStateNames[static_cast<std::size_t>(state)];
}

State parse_state(std::string_view name) {
  for (std::size_t i = 0; i < kStateNames.size(); ++i)
    if (kStateNames[i] == name) return static_cast<State>(i);
  throw InputError(fmt::format("'{}' is no state of a run", name));
}

Store::Store(const Path& path, Mode mode, FilesystemProbe probe)
    : database_(checked_path(path, mode, probe)) {
  check_schema();
  if (mode == Mode::read) {
    database_.execute("PRAGMA query_only=ON");
    return;
  }
  // EXTRA is FULL plus a sync of the folder after the journal is gone, which makes a commit final.
  database_.execute("PRAGMA journal_mode=DELETE");
  database_.execute("PRAGMA synchronous=EXTRA");
  database_.execute("PRAGMA foreign_keys=ON");
}

void Store::check_schema() {
  const auto pragma = [&](const char* sql) {
    Statement statement = database_.prepare(sql);
    statement.step();
    return statement.integer(0);
  };
  if (pragma("PRAGMA application_id") != kApplicationId) {
    throw InputError(fmt::format("'{}' is an SQLite database, but no store of loglog", path().native()));
  }
  const std::int64_t version = pragma("PRAGMA user_version");
  if (version != kStoreSchema) {
    throw InputError(
        fmt::format("store '{}' has schema {}, this loglog reads schema {}; use the version that "
                    "wrote it, or `loglog sweep export --format jsonl` there and `loglog store "
                    "merge` here",
                    path().native(), version, kStoreSchema));
  }
}

Path Store::runs_folder() const {
  return path().native() + ".runs";
}

std::optional<Path> kept_run_in(const Path& runs_folder, std::string_view identity) {
  const Path folder = runs_folder / identity;
  for (const std::string& worker : list_directory(folder))
    if (path_exists(folder / worker / model::kCheckpointFolder)) return folder / worker;
  return std::nullopt;
}

std::optional<Path> Store::kept_run(std::string_view identity) const {
  return kept_run_in(runs_folder(), identity);
}

std::int64_t Store::insert(const RunSpec& s) {
  std::optional<std::int64_t> parent;
  if (!s.parent.empty()) {
    Statement find = database_.prepare("SELECT id FROM run WHERE identity = ?");
    if (!find.bind(s.parent).step()) {
      throw InputError(fmt::format("run '{}' continues {}, which the store does not have", s.name, s.parent));
    }
    parent = find.integer(0);
  }
  database_
      .prepare(
          "INSERT INTO run (identity, config, data_checksum, seed, n, d, c, memory_bytes, seconds, threads, "
          "parent, fork_step) VALUES (?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT (identity) DO NOTHING")
      .bind(s.identity, s.config, s.data_checksum, s.seed, s.n, s.d, s.c, s.memory_bytes, s.seconds,
            s.threads, parent, s.fork_step)
      .run();
  const std::int64_t added = database_.changes();
  join(s);
  return added;
}

void Store::join(const RunSpec& s) {
  database_
      .prepare(
          "INSERT INTO member (run, sweep, name, size, budget) SELECT id, ?, ?, ?, ? FROM run WHERE identity "
          "= ? "
          "ON CONFLICT (run, sweep) DO UPDATE SET name = excluded.name, size = excluded.size, budget = "
          "excluded.budget")
      .bind(s.sweep, s.name, s.size, s.budget, s.identity)
      .run();
}

void Store::drop_nameless_members() {
  database_.execute(
      "DELETE FROM member WHERE sweep = '' AND run IN (SELECT run FROM member WHERE sweep <> '')");
}

std::size_t Store::add(std::span<const RunSpec> runs) {
  Transaction transaction(database_);
  std::size_t added = 0;
  Statement update = database_.prepare(
      "UPDATE run SET seconds = ?, threads = ?, memory_bytes = ? WHERE identity = ? AND state <> 'running'");
  for (const RunSpec& spec : runs) {
    if (insert(spec) == 1)
      ++added;
    else
      update.bind(spec.seconds, spec.threads, spec.memory_bytes, spec.identity).run();
  }
  drop_nameless_members();
  transaction.commit();
  return added;
}

Left Store::leave_unplanned(const std::string& sweep, std::span<const RunSpec> runs) {
  nlohmann::json planned = nlohmann::json::array();
  for (const RunSpec& spec : runs) planned.push_back(spec.identity);
  Transaction transaction(database_);
  // The youngest first: a run before the one that it continues. Idle is what was never begun and has nothing that hangs
  // on it: it is planned again when it is wanted again.
  Statement find = database_.prepare(
      "SELECT m.id, r.id, EXISTS (SELECT 1 FROM member o WHERE o.run = r.id AND o.sweep <> ?1) AS shared, "
      "r.state = 'queued' AND r.step = 0 AND NOT EXISTS (SELECT 1 FROM run c WHERE c.parent = r.id) AS idle "
      "FROM member m JOIN run r ON r.id = m.run WHERE m.sweep = ?1 "
      "AND r.identity NOT IN (SELECT value FROM json_each(?2)) ORDER BY r.id DESC LIMIT 1");
  Left left;
  while (find.bind(sweep, planned.dump()).step()) {
    const std::int64_t member = find.integer(0), run = find.integer(1);
    const bool shared = find.integer(2) != 0, idle = find.integer(3) != 0;
    if (shared || idle)
      database_.prepare("DELETE FROM member WHERE id = ?").bind(member).run();
    else
      database_.prepare("UPDATE member SET sweep = '' WHERE id = ?").bind(member).run();
    if (idle && !shared) database_.prepare("DELETE FROM run WHERE id = ?").bind(run).run();
    ++(shared ? left.shared : idle ? left.forgotten : left.kept);
  }
  transaction.commit();
  return left;
}

std::optional<Lease> Store::acquire(const std::string& holder, int threads, const std::string& sweep) {
  Transaction transaction(database_);
  Statement find = database_.prepare(fmt::format(
      "SELECT r.id, {} FROM {} WHERE r.state IN ('queued', 'checkpointed') AND (?1 = 0 OR r.threads = ?1) "
      "AND (r.parent IS NULL OR p.state = 'done') AND {} ORDER BY max(r.seconds, 1e-12 * r.c) DESC, r.id "
      "LIMIT 1",
      kSpecColumns, kSpecTables, is_first_of("?2")));
  if (!find.bind(threads, sweep).step()) return std::nullopt;
  Lease lease{find.integer(0), random_token(), read_spec(find, 1)};
  database_
      .prepare(
          "UPDATE run SET state = 'running', lease_token = ?, lease_holder = ?, lease_beat = 0 WHERE id = ?")
      .bind(lease.token, holder, lease.run)
      .run();
  transaction.commit();
  return lease;
}

bool Store::beat(const Lease& lease, std::int64_t step) {
  database_.prepare("UPDATE run SET lease_beat = lease_beat + 1, step = ? WHERE id = ? AND lease_token = ?")
      .bind(step, lease.run, lease.token)
      .run();
  return database_.changes() == 1;
}

void Store::write_result(std::int64_t run, const Outcome& outcome) {
  database_.prepare("INSERT INTO result (run, state, loss, seconds, end, error) VALUES (?,?,?,?,?,?)")
      .bind(run, state_name(outcome.state), outcome.loss, outcome.seconds, outcome.end, outcome.error)
      .run();
  Statement point =
      database_.prepare("INSERT INTO curve (run, step, tokens, train_loss, val_loss) VALUES (?,?,?,?,?)");
  for (const CurvePoint& p : outcome.curve) point.bind(run, p.step, p.tokens, p.train_loss, p.val_loss).run();
}

bool Store::commit(const Lease& lease, const Outcome& outcome) {
  Transaction transaction(database_);
  database_
      .prepare(
          "UPDATE run SET state = ?, lease_token = NULL, lease_holder = NULL WHERE id = ? AND lease_token = "
          "?")
      .bind(state_name(outcome.state), lease.run, lease.token)
      .run();
  if (database_.changes() != 1) return false;
  write_result(lease.run, outcome);
  transaction.commit();
  return true;
}

bool Store::release(const Lease& lease, bool checkpointed) {
  database_
      .prepare(
          "UPDATE run SET state = ?, lease_token = NULL, lease_holder = NULL "
          "WHERE id = ? AND lease_token = ?")
      .bind(state_name(checkpointed ? State::checkpointed : State::queued), lease.run, lease.token)
      .run();
  return database_.changes() == 1;
}

std::size_t Store::reclaim(BeatWatch& watch, BeatWatch::Clock::time_point now) {
  struct Lost {
    std::int64_t run;
    std::string token;
  };
  std::vector<Lost> lost;
  Statement running =
      database_.prepare("SELECT id, lease_token, lease_holder, lease_beat FROM run WHERE state = 'running'");
  while (running.step()) {
    const Lost lease{running.integer(0), running.text(1)};
    const bool stale = watch.is_stale(lease.run, lease.token, running.integer(3), now);
    if (stale || is_gone(running.text(2))) lost.push_back(lease);
  }
  std::size_t reclaimed = 0;
  Statement take = database_.prepare(
      "UPDATE run SET lease_token = NULL, lease_holder = NULL, crashes = crashes + 1, "
      "state = CASE WHEN crashes + 1 >= ? THEN 'abandoned' ELSE 'queued' END WHERE id = ? AND lease_token = "
      "?");
  for (const Lost& lease : lost) {
    take.bind(kMaxCrashes, lease.run, lease.token).run();
    reclaimed += static_cast<std::size_t>(database_.changes());
  }
  return reclaimed;
}

std::size_t Store::requeue(std::span<const State> states, const std::string& sweep) {
  Transaction transaction(database_);
  const std::string chosen = "state = ?1 AND " + belongs_to("?2");
  std::size_t count = 0;
  for (const State state : states) {
    LOGLOG_CHECK(state == State::failed || state == State::abandoned, "{} runs stay", state_name(state));
    for (const std::string_view table : {"curve", "result"}) {
      database_
          .prepare(fmt::format("DELETE FROM {} WHERE run IN (SELECT id FROM run r WHERE {})", table, chosen))
          .bind(state_name(state), sweep)
          .run();
    }
    database_.prepare("UPDATE run AS r SET state = 'queued', crashes = 0 WHERE " + chosen)
        .bind(state_name(state), sweep)
        .run();
    count += static_cast<std::size_t>(database_.changes());
  }
  transaction.commit();
  return count;
}

void Store::forgive_crashes() {
  database_.execute("UPDATE run SET crashes = 0 WHERE state <> 'abandoned'");
}

MergeCount Store::import(std::span<const FinishedRun> results) {
  MergeCount count;
  Transaction transaction(database_);
  for (const FinishedRun* result : parents_first(results)) {
    const auto& [spec, outcome] = *result;
    insert(spec);
    if (!spec.sweep.empty()) count.sweeps.insert(spec.sweep);
    import_result(spec, outcome, count);
  }
  drop_nameless_members();
  transaction.commit();
  return count;
}

// A run that ended stays as it ended; one that failed may do better elsewhere, and a failure elsewhere is none of a run
// that is being trained here.
void Store::import_result(const RunSpec& spec, const Outcome& outcome, MergeCount& count) {
  Statement find = database_.prepare(
      "SELECT r.id, r.state, t.loss FROM run r LEFT JOIN result t ON t.run = r.id WHERE r.identity = ?");
  find.bind(spec.identity).step();
  const std::int64_t run = find.integer(0);
  const State here = parse_state(find.text(1));
  const bool came_failed = outcome.state == State::failed;
  if (here == State::done || here == State::diverged) {
    ++count.known;
    const double difference = std::abs(find.real(2) - outcome.loss.value_or(0));  // NULL reads as 0
    if (!came_failed && difference > kOtherRun) {
      count.conflicts.push_back(
          {spec.name, find.is_null(2) ? std::nullopt : std::optional(find.real(2)), outcome.loss});
    }
    return;
  }
  if (came_failed && (here == State::failed || here == State::running)) {
    ++count.known;
    return;
  }
  if (came_failed) count.failures.push_back({spec.name, outcome.error});
  database_.prepare("DELETE FROM curve WHERE run = ?").bind(run).run();
  database_.prepare("DELETE FROM result WHERE run = ?").bind(run).run();
  write_result(run, outcome);
  database_.prepare("UPDATE run SET state = ?, lease_token = NULL, lease_holder = NULL WHERE id = ?")
      .bind(state_name(outcome.state), run)
      .run();
  ++count.merged;
}

}  // namespace loglog::sweep

// The store of a sweep: one SQLite file that is the queue of runs before and the table of results after.
//
// Many processes may have it open. A run is trained by whoever leases it; its result is committed once, and
// only by the holder of the lease. A run that several sweep files plan is trained once and belongs to each of
// them, under the name, size and budget that each gave it; one that no file has any longer belongs to none.
// Where a function takes the name of a sweep, an empty one stands for all. What was committed survives the
// death of any process (rollback journal, synchronous=EXTRA). The schema is drawn in docs/formats.md.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/file.hpp"
#include "sweep/holder.hpp"
#include "sweep/sqlite.hpp"

namespace loglog::sweep {

inline constexpr int kStoreSchema = 2;
inline constexpr int kMaxCrashes = 5;  // a run whose holder died so often is abandoned

enum class State { queued, running, done, failed, diverged, checkpointed, abandoned };
std::string_view state_name(State state);
State parse_state(std::string_view name);  // InputError

// A run as planned.
struct RunSpec {
  std::string identity;  // model::identity of the resolved configuration, data and seed
  std::string sweep;     // name of a sweep file that plans it; empty when a changed file no longer does
  std::string name;      // for people: size, budget or tokens, seed
  std::string size;      // name of the ladder entry
  std::string config;    // resolved configuration, JSON
  std::string data_checksum;
  double budget = 0;  // FLOPs of its IsoFLOP budget; 0 in grids
  std::int64_t seed = 0;
  double n = 0;  // headline parameter count
  double d = 0;  // training tokens
  double c = 0;  // exact training FLOPs
  double memory_bytes = 0;
  double seconds = 0;  // expected; 0 when not calibrated
  int threads = 1;
  std::string parent;  // identity of the run whose checkpoint this one continues; empty for none
  std::int64_t fork_step = 0;
};

struct Lease {
  std::int64_t run;
  std::string token;
  RunSpec spec;
};

// A point of a run's loss curves.
struct CurvePoint {
  std::int64_t step;
  double tokens;
  std::optional<double> train_loss;  // nats per token
  std::optional<double> val_loss;
};

// How a run ended. A diverged run has no loss: its state says so, never a NULL or NaN in place of a number.
struct Outcome {
  State state = State::done;  // done, diverged or failed
  std::optional<double> loss;
  double seconds = 0;
  std::string end;    // the end event of the run record, JSON; empty for failed runs
  std::string error;  // why it failed or diverged
  std::vector<CurvePoint> curve;
};

using FinishedRun = std::pair<RunSpec, Outcome>;

// Nats between two losses of one run: bits that differ from machine to machine move it by less.
inline constexpr double kOtherRun = 0.01;

struct MergeCount {
  struct Conflict {
    std::string name;
    std::optional<double> here, there;  // losses; nothing where the run diverged
  };
  struct Failure {
    std::string name, error;
  };
  std::size_t merged = 0;           // failures among them
  std::size_t known = 0;            // runs whose result was there already
  std::vector<Conflict> conflicts;  // known ones of which the result that came says something else
  std::vector<Failure> failures;    // runs that failed there, and have no result here
  std::set<std::string> sweeps;     // that the results belong to
};

// What became of the runs that a changed sweep file no longer has.
struct Left {
  std::size_t shared = 0;     // another sweep has them still
  std::size_t kept = 0;       // begun or finished: they are in the store, and of no sweep
  std::size_t forgotten = 0;  // never begun
};

// A row of the table of runs.
struct RunRow {
  std::int64_t id;
  RunSpec spec;
  State state;
  int crashes;
  std::int64_t step;  // last one reported by the holder of the lease
  std::optional<double> loss;
  double seconds;  // of the result
  std::string end;
  std::string error;
};

// statfs's f_type of the folder, 0 where there is none. Tests pass their own.
std::int64_t filesystem_type(const Path& folder);
using FilesystemProbe = std::int64_t (*)(const Path& folder);

// Runs that are ready or running, of one number of threads.
struct WaitingRuns {
  int threads;
  std::int64_t ready;
  std::int64_t running;
  double seconds;       // expected for the steps that they lack, one after the other
  double memory_bytes;  // of the largest
};

// The folder of a finished run with its checkpoints, RUNS/IDENTITY/LEASE, if it is still there.
std::optional<Path> kept_run_in(const Path& runs_folder, std::string_view identity);

// RefusedError, before any time is spent on runs, when no store can be made at `path` or the one there cannot be
// changed; UsageError when the name leaves no room for that of SQLite's journal.
void require_writable_store(const Path& path);

// A regular file that says in its first bytes that it is an SQLite database; pipes are left unread.
bool is_store(const Path& path);

class Store {
 public:
  enum class Mode { read, write, create };

  // To write: Error with exit 7 on a network filesystem, where SQLite's locks cannot be trusted; InputError for files
  // that are no store or come from a newer loglog.
  Store(const Path& path, Mode mode, FilesystemProbe probe = filesystem_type);

  const Path& path() const { return database_.path(); }
  Path runs_folder() const;  // of unfinished runs, beside the store
  Path run_folder(std::string_view identity) const { return runs_folder() / identity; }
  // Where `sweep run --keep` left a finished run with its checkpoint: in a folder of the worker that finished it. Nothing where it did
  // not.
  std::optional<Path> kept_run(std::string_view identity) const;

  // Adds the runs that are not there yet, in this order; returns how many were new. Runs that are there already
  // become runs of this sweep as well, and what they are expected to take (seconds, threads, memory) is brought up to
  // date unless they are running. A parent must be there before its child.
  std::size_t add(std::span<const RunSpec> runs);
  // The runs of a sweep that are not among `runs` leave it: they are no longer trained for it, nor fitted.
  Left leave_unplanned(const std::string& sweep, std::span<const RunSpec> runs);

  // Takes the dearest run that is ready (queued or checkpointed, its parent done), of exactly `threads`
  // threads when that is above 0.
  std::optional<Lease> acquire(const std::string& holder, int threads, const std::string& sweep = "");
  bool beat(const Lease& lease, std::int64_t step);         // false: the lease was taken away, stop
  bool commit(const Lease& lease, const Outcome& outcome);  // false: likewise, nothing was written
  bool release(const Lease& lease, bool checkpointed);      // it waits again, for whoever is next
  std::size_t reclaim(BeatWatch& watch, BeatWatch::Clock::time_point now);  // leases of the dead and stuck
  // Failed or abandoned runs get another chance.
  std::size_t requeue(std::span<const State> states, const std::string& sweep = "");
  void forgive_crashes();  // start counting anew

  // Ended runs from elsewhere in any order, all or none. A result that is here already stays.
  MergeCount import(std::span<const FinishedRun> results);

  std::map<State, std::int64_t> counts(const std::string& sweep = "") const;
  // By threads, ascending; empty when nothing is left to do.
  std::vector<WaitingRuns> waiting(const std::string& sweep = "") const;
  std::vector<std::string> running(const std::string& sweep = "") const;  // "name, step N" of each
  // An unfinished run continues this one's checkpoint.
  bool has_waiting_child(std::string_view identity) const;
  std::set<std::string> sweeps() const;  // names of the sweep files that have runs here

  // Rows come by budget, N, D and seed; then by name and identity.
  std::vector<RunRow> runs() const;           // each once, as the first of its sweeps named it
  std::vector<RunRow> runs_by_sweep() const;  // each once for every sweep that it belongs to, or for none
  // Those of one sweep file; an empty name stands for the only one. UsageError that lists the sweeps otherwise.
  std::vector<RunRow> runs_of(const std::string& sweep) const;
  std::vector<CurvePoint> curve(std::int64_t run) const;

  // Measured rates, by a key that names what was measured and where.
  std::optional<std::string> calibration(const std::string& key) const;
  void save_calibration(const std::string& key, const std::string& value);

  std::optional<std::string> note(const std::string& key) const;  // facts about the sweep itself
  void save_note(const std::string& key, const std::string& value);

  std::vector<std::string> commands(const std::string& sweep) const;       // that made its runs, in order
  void add_command(const std::string& sweep, const std::string& command);  // unless it is there

  void verify() const;  // SQLite's integrity check and our invariants; InputError with the first breach

 private:
  void check_schema();
  std::int64_t insert(const RunSpec& spec);
  void join(const RunSpec& spec);
  void drop_nameless_members();  // of runs that have a sweep
  std::vector<RunRow> rows(const std::string& condition,
                           const std::optional<std::string>& parameter = {}) const;
  void write_result(std::int64_t run, const Outcome& outcome);
  void import_result(const RunSpec& spec, const Outcome& outcome, MergeCount& count);

  mutable Database database_;  // SQLite's handle has no const functions
};

}  // namespace loglog::sweep

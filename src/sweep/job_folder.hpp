// A sweep in a folder that many machines share, as the tasks of a Slurm array do. No database is opened there: SQLite's
// locks do not hold on network filesystems (docs/adr/0004-job-folders.md).
//
//   runs.jsonl               what is planned, a line per run
//   job.json                 name of the sweep, its text and its data
//   isa                      the instruction-set row that the first task chose for all
//   leases/IDENTITY.K        the K-th lease of a run; the highest K counts
//   runs/IDENTITY/TOKEN/     record and checkpoints of an unfinished run
//   spool/TASK-TOKEN.jsonl   results, a line per run; one writer in its life
//
// A lease is taken by linking a file to the next K: of all that try, one succeeds, and nobody ever removes a lease, so
// there is nothing to race for. Its holder rewrites it with a growing count of beats. One whose holder is gone from this
// machine, or whose count stood still for three intervals of the observer's own clock, is followed by K + 1, which is how
// the holder learns that it lost it. Two holders at once, as a network that hangs can bring about, train the same bits
// in different folders, and a merge of both spools is a merge of one.
#pragma once
#include <chrono>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "sweep/holder.hpp"
#include "sweep/run_queue.hpp"

namespace loglog::sweep {

struct Job {
  std::string sweep;          // its name
  Path data;                  // absolute path of the token file
  std::string text;           // of the sweep file
  std::vector<RunSpec> runs;  // the dearest first
};

// Makes the folder, or brings what is planned in it up to date: leases and results stay. UsageError when it is
// something else, or the job of another sweep.
void write_job(const Path& folder, Job job);
Job read_job(const Path& folder);  // InputError when it is none

// The instruction-set row of a job's runs: `row`, unless a task named another before. Empty as long as there is none.
std::string agree_on_row(const Path& folder, const std::string& row);
std::string agreed_row(const Path& folder);

struct JobOptions {
  std::string task = "task";  // begins the name of the spool
  std::string
      only;  // identity of the one run to train, and before it the one that it is forked from; empty: all
  std::chrono::milliseconds beat_interval{
      30000};  // three of them outlast what NFS remembers of a folder, 60 s
  std::function<bool()> stop_requested = [] { return false; };
};

class JobQueue final : public RunQueue {
 public:
  JobQueue(const Path& folder, std::vector<RunSpec> runs, JobOptions options);

  // Before it says that there is none, it waits until each lease of other machines beat once or was taken over.
  std::optional<Lease> acquire() override;
  std::function<bool(std::int64_t step)> pulse(const Lease& lease) override;
  bool commit(const Lease& lease, const Outcome& outcome) override;
  bool release(const Lease& lease, bool checkpointed) override;
  Path run_folder(std::string_view identity) const override;
  bool has_waiting_child(std::string_view identity) override;

  std::map<State, std::int64_t> counts();
  State state_of(std::string_view identity);  // InputError when it is not planned here
  std::size_t requeue();                      // gives failed and abandoned runs another chance

 private:
  // Of a run: its newest lease; generation 0 where it never had one.
  struct Standing {
    std::int64_t generation = 0;
    std::string token, holder;
    State state = State::queued;
    std::int64_t beat = 0, step = 0;
    int crashes = 0;
    bool lost = false;  // its holder is dead or stuck
  };
  static std::string text_of(const Standing& standing);
  Path lease_file(const RunSpec& spec, std::int64_t generation) const;
  Standing read_standing(const RunSpec& spec, std::int64_t generation) const;
  bool follow(std::size_t run, Standing next);
  void refresh();
  bool is_named(std::size_t run) const;
  bool is_wanted(std::size_t run) const;
  bool may_be_dead(std::size_t run) const;
  std::optional<Lease> take_first();
  bool is_held(const RunSpec& spec, const Standing& standing) const;
  void rewrite(const RunSpec& spec, const Standing& standing) const;
  void append_to_spool(const RunSpec& spec, const Outcome& outcome) const;

  Path folder_;
  std::vector<RunSpec> runs_;
  std::map<std::string, std::size_t, std::less<>> index_;  // by identity
  JobOptions options_;
  std::string holder_ = this_process();
  Path spool_;
  BeatWatch watch_;
  std::vector<Standing> standings_;             // of runs_, as they were last read
  std::map<std::size_t, Standing> first_seen_;  // of runs that are held
};

}  // namespace loglog::sweep

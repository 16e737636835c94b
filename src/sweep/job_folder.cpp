#include "sweep/job_folder.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <nlohmann/json.hpp>
#include <span>
#include <thread>
#include <utility>

#include "base/error.hpp"
#include "base/json_text.hpp"
#include "sweep/table.hpp"

namespace loglog::sweep {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kJobSchema = 1;
constexpr const char* kJobFile = "job.json";
constexpr const char* kRunsFile = "runs.jsonl";
constexpr const char* kRowFile = "isa";
constexpr const char* kLeases = "leases";
constexpr const char* kRuns = "runs";
constexpr const char* kSpool = "spool";

bool has_result(State state) {
  return state == State::done || state == State::diverged;
}

bool is_over(State state) {
  return state == State::done || state == State::diverged || state == State::failed ||
         state == State::abandoned;
}

// Gives the file `from` the second name `to`, unless something has it already: false. Of all that try, on however many
// machines, one succeeds. NFS may lose the answer to a link that it made, and say, asked again, that the name is taken:
// the count of names tells (open(2)).
bool link_unless_there(const Path& from, const Path& to) {
  if (::link(from.c_str(), to.c_str()) == 0) return true;
  const int code = errno;
  struct stat status {};
  if (::stat(from.c_str(), &status) == 0 && status.st_nlink == 2) return true;
  if (code == EEXIST) return false;
  throw IoError(fmt::format("cannot link '{}' as", from.native()), to.native(), code);
}

// A file that appears with all of its text, for the first of several writers: false for the others.
bool write_once(const Path& path, const std::string& text) {
  FileSystem& fs = real_file_system();
  const Path fresh = path.parent_path() / (random_token() + ".tmp");
  write_atomically(fs, fresh, text);
  const bool first = link_unless_there(fresh, path);
  fs.remove(fresh);
  return first;
}

Json read_description(const Path& folder) {
  const Path file = folder / kJobFile;
  if (!path_exists(file))
    throw InputError(fmt::format("'{}' is no job folder: it has no {}", folder.native(), kJobFile));
  Json job = Json::parse(read_input(file), nullptr, false);
  if (!job.is_object() || job.value("schema", Json()) != kJobSchema || !job.contains("sweep") ||
      !job.contains("data"))
    throw InputError(fmt::format("{}: not the description of a job, schema {}", file.native(), kJobSchema));
  return job;
}

// Names of lease files are IDENTITY.K.
std::map<std::string, std::int64_t> newest_leases(const Path& folder) {
  std::map<std::string, std::int64_t> newest;
  for (const std::string& name : list_directory(folder)) {
    const std::size_t dot = name.find('.');
    std::int64_t generation = 0;
    const char* end = name.data() + name.size();
    if (dot == std::string::npos || std::from_chars(name.data() + dot + 1, end, generation).ptr != end)
      continue;
    std::int64_t& known = newest[name.substr(0, dot)];
    known = std::max(known, generation);
  }
  return newest;
}

}  // namespace

void write_job(const Path& folder, Job job) {
  FileSystem& fs = real_file_system();
  if (as_utf8(job.data.native()) != job.data.native())
    throw UsageError(fmt::format("the path of the data, '{}', is no UTF-8", as_utf8(job.data.native())));
  if (!list_directory(folder).empty()) {
    if (!path_exists(folder / kJobFile))
      throw UsageError(fmt::format("'{}' holds other files, and is no job folder", folder.native()));
    if (const auto other = read_description(folder).at("sweep").get<std::string>(); other != job.sweep)
      throw UsageError(fmt::format("'{}' is the job folder of sweep '{}', not of '{}'", folder.native(),
                                   other, job.sweep));
  }
  for (const char* name : {kLeases, kRuns, kSpool, "logs"}) fs.create_directories(folder / name);
  std::stable_sort(job.runs.begin(), job.runs.end(),
                   [](const RunSpec& a, const RunSpec& b) { return a.c > b.c; });
  std::string lines;
  for (const RunSpec& run : job.runs) lines += planned_line(run);
  write_atomically(fs, folder / kRunsFile, lines);
  const Json description = {
      {"schema", kJobSchema}, {"sweep", job.sweep}, {"data", job.data.native()}, {"text", job.text}};
  write_atomically(fs, folder / kJobFile, json_text(description, 2) + "\n");
}

Job read_job(const Path& folder) {
  const Json description = read_description(folder);
  const Path file = folder / kRunsFile;
  Lines<RunSpec> planned = read_planned(read_input(file), file.native());
  if (!planned.torn.empty()) throw InputError(fmt::format("{}: the line breaks off", planned.torn));
  return {description.at("sweep"), description.at("data").get<std::string>(), description.value("text", ""),
          std::move(planned.runs)};
}

std::string agreed_row(const Path& folder) {
  return path_exists(folder / kRowFile) ? read_text(folder / kRowFile) : "";
}

std::string agree_on_row(const Path& folder, const std::string& row) {
  write_once(folder / kRowFile, row);
  return agreed_row(folder);
}

JobQueue::JobQueue(const Path& folder, std::vector<RunSpec> runs, JobOptions options)
    : folder_(folder),
      options_(std::move(options)),
      spool_(folder / kSpool / fmt::format("{}-{}.jsonl", options_.task, random_token().substr(0, 12))),
      watch_(3 * options_.beat_interval) {
  std::string parent;
  for (const RunSpec& run : runs)
    if (run.identity == options_.only) parent = run.parent;
  for (RunSpec& run : runs) {
    const auto is_one_of = [&](const std::string& identity) {
      return !identity.empty() && (identity == options_.only || identity == parent);
    };
    const bool concerned = options_.only.empty() || is_one_of(run.identity) || is_one_of(run.parent);
    if (concerned) runs_.push_back(std::move(run));
  }
  for (std::size_t i = 0; i < runs_.size(); ++i) index_.emplace(runs_[i].identity, i);
  standings_.resize(runs_.size());
}

Path JobQueue::lease_file(const RunSpec& spec, std::int64_t generation) const {
  return folder_ / kLeases / fmt::format("{}.{}", spec.identity, generation);
}

// A lease that cannot be read now, or that a power cut left without its text, is one that does not beat.
JobQueue::Standing JobQueue::read_standing(const RunSpec& spec, std::int64_t generation) const {
  Standing standing;
  standing.generation = generation;
  standing.state = State::running;
  try {
    const Json lease = Json::parse(read_text(lease_file(spec, generation)));
    standing.token = lease.at("token");
    standing.holder = lease.at("holder");
    standing.beat = lease.at("beat");
    standing.step = lease.at("step");
    standing.crashes = lease.at("crashes");
    standing.state = parse_state(lease.at("state").get<std::string>());
  } catch (const Json::exception&) {
  } catch (const Error&) {
  }
  return standing;
}

std::string JobQueue::text_of(const Standing& standing) {
  return Json({{"token", standing.token},
               {"holder", standing.holder},
               {"state", state_name(standing.state)},
               {"beat", standing.beat},
               {"step", standing.step},
               {"crashes", standing.crashes}})
      .dump();
}

void JobQueue::rewrite(const RunSpec& spec, const Standing& standing) const {
  write_atomically(real_file_system(), lease_file(spec, standing.generation), text_of(standing));
}

// The lease that comes after the newest one that was read; false when somebody else's did.
bool JobQueue::follow(std::size_t run, Standing next) {
  next.generation = standings_[run].generation + 1;
  next.token = random_token();
  next.holder = holder_;
  if (!write_once(lease_file(runs_[run], next.generation), text_of(next))) return false;
  standings_[run] = next;
  return true;
}

void JobQueue::refresh() {
  const auto newest = newest_leases(folder_ / kLeases);
  const auto now = BeatWatch::Clock::now();
  for (std::size_t i = 0; i < runs_.size(); ++i) {
    const auto found = newest.find(runs_[i].identity);
    Standing& standing = standings_[i];
    // A network file system may list a folder as it was a minute ago.
    if (found == newest.end() || found->second < standing.generation) continue;
    if (is_over(standing.state) && found->second == standing.generation) continue;
    standing = read_standing(runs_[i], found->second);
    if (standing.state != State::running) continue;
    const bool stale = watch_.is_stale(static_cast<std::int64_t>(i), standing.token, standing.beat, now);
    standing.lost = stale || is_gone(standing.holder);
    first_seen_.try_emplace(i, standing);
  }
}

// By its name a run is wanted, and the one that it is forked from, as long as it needs that.
bool JobQueue::is_named(std::size_t run) const {
  const auto named = index_.find(options_.only);
  if (named == index_.end()) return false;
  const bool is_parent = runs_[run].identity == runs_[named->second].parent;
  return run == named->second || (is_parent && !has_result(standings_[named->second].state));
}

bool JobQueue::is_wanted(std::size_t run) const {
  const bool all = options_.only.empty();
  if (!all && !is_named(run)) return false;
  const auto parent = index_.find(runs_[run].parent);
  if (parent != index_.end() && standings_[parent->second].state != State::done) return false;
  const Standing& standing = standings_[run];
  if (standing.state == State::running) return standing.lost;
  return !is_over(standing.state) || (!all && !has_result(standing.state));
}

bool JobQueue::may_be_dead(std::size_t run) const {
  if (standings_[run].state != State::running || is_of_this_machine(standings_[run].holder)) return false;
  const Standing& first = first_seen_.at(run);
  return first.token == standings_[run].token && first.beat == standings_[run].beat;
}

std::optional<Lease> JobQueue::take_first() {
  for (std::size_t i = 0; i < runs_.size(); ++i) {
    if (!is_wanted(i)) continue;
    Standing next = standings_[i];
    if (is_over(next.state)) next.crashes = 0;
    if (next.state == State::running) ++next.crashes;
    next.state = next.crashes < kMaxCrashes ? State::running : State::abandoned;
    next.lost = false;
    next.beat = 0;
    if (follow(i, next) && next.state == State::running)
      return Lease{static_cast<std::int64_t>(i), standings_[i].token, runs_[i]};
  }
  return std::nullopt;
}

std::optional<Lease> JobQueue::acquire() {
  for (;;) {
    refresh();
    if (auto lease = take_first()) return lease;
    bool wait = false;
    for (std::size_t i = 0; i < runs_.size(); ++i) wait = wait || may_be_dead(i);
    if (!wait || options_.stop_requested()) return std::nullopt;
    std::this_thread::sleep_for(std::min(options_.beat_interval, std::chrono::milliseconds(500)));
  }
}

bool JobQueue::is_held(const RunSpec& spec, const Standing& standing) const {
  return !path_exists(lease_file(spec, standing.generation + 1));
}

Path JobQueue::run_folder(std::string_view identity) const {
  return folder_ / kRuns / identity;
}

std::function<bool(std::int64_t)> JobQueue::pulse(const Lease& lease) {
  return [this, spec = lease.spec,
          standing = standings_[static_cast<std::size_t>(lease.run)]](std::int64_t step) mutable {
    if (!is_held(spec, standing)) return false;
    ++standing.beat;
    standing.step = step;
    rewrite(spec, standing);
    return true;
  };
}

// The result first: a task that dies in between leaves a run that is trained again, to the same bits.
bool JobQueue::commit(const Lease& lease, const Outcome& outcome) {
  Standing& standing = standings_[static_cast<std::size_t>(lease.run)];
  if (!is_held(lease.spec, standing)) return false;
  append_to_spool(lease.spec, outcome);
  standing.state = outcome.state;
  rewrite(lease.spec, standing);
  return true;
}

bool JobQueue::release(const Lease& lease, bool checkpointed) {
  Standing& standing = standings_[static_cast<std::size_t>(lease.run)];
  if (!is_held(lease.spec, standing)) return false;
  standing.state = checkpointed ? State::checkpointed : State::queued;
  rewrite(lease.spec, standing);
  return true;
}

// After an error the writer ends: what broke off is the last line of its spool.
void JobQueue::append_to_spool(const RunSpec& spec, const Outcome& outcome) const {
  FileSystem& fs = real_file_system();
  const std::string line = result_line(spec, outcome, Timing::yes);
  const auto file = fs.open_append(spool_);
  file->append(std::as_bytes(std::span(line)));
  file->sync();
  file->close();
  fs.sync_directory(spool_.parent_path());
}

bool JobQueue::has_waiting_child(std::string_view identity) {
  refresh();
  for (std::size_t i = 0; i < runs_.size(); ++i) {
    const bool is_child = !runs_[i].parent.empty() && runs_[i].parent == identity;
    if (is_child && !has_result(standings_[i].state)) return true;
  }
  return false;
}

std::map<State, std::int64_t> JobQueue::counts() {
  refresh();
  std::map<State, std::int64_t> counts;
  for (const Standing& standing : standings_) ++counts[standing.state];
  return counts;
}

State JobQueue::state_of(std::string_view identity) {
  const auto found = index_.find(identity);
  if (found == index_.end())
    throw InputError(fmt::format("no run {} is planned in '{}'", identity, folder_.native()));
  refresh();
  return standings_[found->second].state;
}

std::size_t JobQueue::requeue() {
  refresh();
  std::size_t count = 0;
  for (std::size_t i = 0; i < runs_.size(); ++i) {
    if (standings_[i].state != State::failed && standings_[i].state != State::abandoned) continue;
    Standing again;
    again.generation = standings_[i].generation;
    if (follow(i, again)) ++count;
  }
  return count;
}

}  // namespace loglog::sweep

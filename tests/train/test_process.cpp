// The real binary: stop signals, F1 (kill -9 while checkpoints are written), F18 (odd OpenMP environments),
// exit codes, and the memory plan against what the process really took.
#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <csignal>
#include <fstream>
#include <thread>

#include "kernels/isa.hpp"
#include "kernels/table.hpp"
#include "small_runs.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using Catch::Contains;

namespace {

struct Launch {
  std::vector<std::string> arguments;
  std::vector<std::pair<std::string, std::string>> environment = {};
  bool one_core = false;
};

pid_t start(const Launch& launch, const Path& log) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  const int file = ::open(log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  ::dup2(file, STDOUT_FILENO);
  ::dup2(file, STDERR_FILENO);
  for (const auto& [name, value] : launch.environment) ::setenv(name.c_str(), value.c_str(), 1);
  if (launch.one_core) {
    cpu_set_t set;
    ::sched_getaffinity(0, sizeof(set), &set);
    int kept = 0;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &set) && kept++ > 0) CPU_CLR(cpu, &set);
    }
    ::sched_setaffinity(0, sizeof(set), &set);
  }
  std::vector<char*> argv = {const_cast<char*>(LOGLOG_BINARY)};
  for (const std::string& argument : launch.arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  ::execv(argv[0], argv.data());
  ::_exit(127);
}

// The exit code as a shell shows it: 128 + signal when it was killed.
int wait_for(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void wait_until(const std::function<bool()>& true_at_last) {
  for (int i = 0; i < 60000 && !true_at_last(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

struct Workshop {
  TemporaryFolder folder;
  Path config = folder.path() / "c.toml";
  Path log = folder.path() / "log";
  model::RunConfig run;
  Workshop() {
    write_small_tokens(folder.path() / "t.tok");
    run = small_run(folder.path() / "t.tok");
    run.train.steps = 1500;
    run.train.checkpoint_every = 250;
    run.train.record_every = 50;
    run.eval.every = 0;
    save();
  }
  void save() const { std::ofstream(config) << model::to_toml(run); }
  Path out(const std::string& name) const { return folder.path() / name; }
  Launch train(const std::string& name, const std::vector<std::string>& more = {}) const {
    Launch launch{{"train", "--config", config.string(), "--out", out(name).string(), "--threads", "1"}};
    launch.arguments.insert(launch.arguments.end(), more.begin(), more.end());
    return launch;
  }
  int finish(const Launch& launch) const { return wait_for(start(launch, log)); }
  bool has_checkpoint(const std::string& name) const {
    for (const std::string& file : list_directory(out(name) / "checkpoints")) {
      if (file.ends_with(".json")) return true;
    }
    return false;
  }
};

std::vector<nlohmann::json> record_of(const Path& out) {
  std::vector<nlohmann::json> events;
  std::istringstream lines(read_text(out / "record.jsonl"));
  for (std::string line; std::getline(lines, line);) events.push_back(nlohmann::json::parse(line));
  return events;
}

}  // namespace

TEST_CASE("every stop signal ends in a checkpoint and 75, and the run resumes to the same bits") {
  const Workshop w;
  REQUIRE(w.finish(w.train("straight")) == 0);
  const std::string expected = newest_tensors(w.out("straight"));
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2}) {
    const std::string name = "signal" + std::to_string(number);
    const pid_t child = start(w.train(name), w.log);
    wait_until([&] { return w.has_checkpoint(name); });
    ::kill(child, number);
    INFO(name << ": " << read_text(w.log));
    REQUIRE(wait_for(child) == 75);
    REQUIRE_THAT(read_text(w.log), Contains("--resume"));
    REQUIRE(newest_tensors(w.out(name)) != expected);
    REQUIRE(w.finish({{"train", "--resume", w.out(name).string(), "--threads", "2"}}) == 0);
    REQUIRE(newest_tensors(w.out(name)) == expected);
    REQUIRE(comparable_record(w.out(name)) == comparable_record(w.out("straight")));
  }
}

TEST_CASE("a step that would take minutes is not waited for") {
  Workshop w;
  w.run.train.batch = 3'000'000;  // a million passes
  w.save();
  const pid_t child = start(w.train("long"), w.log);
  const Path record = w.out("long") / "record.jsonl";
  wait_until([&] { return std::filesystem::exists(record) && !read_text(record).empty(); });
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  ::kill(child, SIGTERM);
  REQUIRE(wait_for(child) == 75);
  REQUIRE(w.has_checkpoint("long"));
  REQUIRE_THAT(read_text(record), !Contains("\"step\":1"));
}

TEST_CASE("a second INT stops at once") {
  Workshop w;
  w.run.train.batch = 300000;  // a step that takes much longer than this test, also between two of its passes
  w.run.train.micro_batch = 20000;
  w.save();
  int code = 75;  // what a first signal gives that comes before the first step
  for (int wait = 100; code == 75 && wait <= 3200; wait *= 2) {
    const std::string name = "twice" + std::to_string(wait);
    const pid_t child = start(w.train(name), w.log);
    wait_until([&] { return std::filesystem::exists(w.out(name) / "config.toml"); });
    std::this_thread::sleep_for(std::chrono::milliseconds(wait));
    ::kill(child, SIGINT);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    ::kill(child, SIGINT);
    code = wait_for(child);
  }
  REQUIRE(code == 128 + SIGINT);
}

TEST_CASE("F1: killed 40 times while it writes checkpoints, the run still ends in the same bits") {
  Workshop w;
  w.run.train.steps = 400;
  w.run.train.checkpoint_every = 1;
  w.save();
  REQUIRE(w.finish(w.train("straight")) == 0);
  const Rng draw(1, 1);
  int killed = 0;
  for (std::uint64_t i = 0; killed < 40 && i < 200; ++i) {
    const std::string name = "killed" + std::to_string(i / 40);  // a new run should the machine be very fast
    const pid_t child = start(w.train(name, {"--resume"}), w.log);
    std::this_thread::sleep_for(std::chrono::microseconds(20000 + draw.below(i, 40000)));
    ::kill(child, SIGKILL);
    const int code = wait_for(child);
    INFO(read_text(w.log));
    REQUIRE((code == 128 + SIGKILL || code == 0));
    killed += code != 0;
  }
  REQUIRE(killed == 40);
  REQUIRE(w.finish(w.train("killed0", {"--resume"})) == 0);
  REQUIRE(newest_tensors(w.out("killed0")) == newest_tensors(w.out("straight")));
  REQUIRE(comparable_record(w.out("killed0")) == comparable_record(w.out("straight")));
}

TEST_CASE("F18: odd OpenMP environments and one core do not change bits; threads are reported as they are") {
  Workshop w;
  make_parallel(w.run);
  w.save();
  REQUIRE(w.finish(w.train("plain")) == 0);
  std::vector<Launch> launches;
  const std::vector<std::pair<std::string, std::string>> settings = {
      {"OMP_NUM_THREADS", "0"},      {"OMP_NUM_THREADS", "-3"},  {"OMP_NUM_THREADS", "many"},
      {"OMP_NUM_THREADS", "2,3"},    {"OMP_DYNAMIC", "true"},    {"OMP_THREAD_LIMIT", "1"},
      {"OMP_NESTED", "true"},        {"OMP_PROC_BIND", "close"}, {"OMP_SCHEDULE", "dynamic"},
      {"OMP_MAX_ACTIVE_LEVELS", "0"}};
  for (const auto& setting : settings) launches.push_back({{}, {setting}});
  launches.push_back({{}, {}, true});
  for (std::size_t i = 0; i < launches.size(); ++i) {
    const std::string name = "odd" + std::to_string(i);
    Launch launch = launches[i];
    launch.arguments = w.train(name).arguments;
    launch.arguments.back() = "2";
    INFO(name << " "
              << (launch.environment.empty()
                      ? "one core"
                      : launch.environment[0].first + "=" + launch.environment[0].second));
    REQUIRE(w.finish(launch) == 0);
    REQUIRE(newest_tensors(w.out(name)) == newest_tensors(w.out("plain")));
    const bool alone =
        !launch.environment.empty() && (launch.environment[0].first == "OMP_THREAD_LIMIT" ||
                                        launch.environment[0].first == "OMP_MAX_ACTIVE_LEVELS");
    REQUIRE_THAT(read_text(w.out(name) / "record.jsonl"),
                 Contains(alone ? "\"threads\":1" : "\"threads\":2"));
  }
  Launch automatic{{"train", "--config", w.config.string(), "--out", w.out("auto").string()}, {}, true};
  REQUIRE(w.finish(automatic) == 0);
  REQUIRE_THAT(read_text(w.out("auto") / "record.jsonl"), Contains("\"threads\":1"));
}

TEST_CASE("exit codes: diverged 5, refused 6, usage 2, bad data 4") {
  Workshop w;
  REQUIRE(w.finish(w.train("d", {"--set", "train.lr=1e6", "--set", "train.weight_decay=1000"})) == 5);
  REQUIRE_THAT(read_text(w.log), Contains("diverged") && Contains("no checkpoint was due"));
  REQUIRE_FALSE(w.has_checkpoint("d"));
  const std::vector<std::string> saved = {
      "--set", "train.lr=1e6", "--set", "train.weight_decay=1000", "--set", "train.checkpoint_every=1"};
  REQUIRE(w.finish(w.train("k", saved)) == 5);
  REQUIRE_THAT(read_text(w.log),
               Contains("the checkpoint of step 1 in") || Contains("the checkpoint of step 2 in"));
  REQUIRE(w.has_checkpoint("k"));
  REQUIRE(w.finish(w.train("m", {"--set", "model.width=65536", "--set", "model.layers=500"})) == 6);
  REQUIRE_THAT(read_text(w.log), Contains("MiB are available"));
  REQUIRE(w.finish(w.train("h", {"--set", "model.context=1", "--set", "train.steps=1", "--set",
                                 "train.batch=1e15", "--set", "train.micro_batch=1e15"})) == 6);
  REQUIRE_FALSE(std::filesystem::exists(w.out("m")));
  REQUIRE(w.finish(w.train("u", {"--set", "model.widht=8"})) == 2);
  REQUIRE_THAT(read_text(w.log), Contains("did you mean 'model.width'"));
  REQUIRE(w.finish(w.train("i", {"--isa", "pdp11"})) == 2);
  REQUIRE(w.finish(w.train("f", {"--set", "data.path=" + w.config.string()})) == 4);
}

TEST_CASE("a search in which every run diverges has no answer and says so with exit code 5") {
  const Workshop w;
  REQUIRE(
      w.finish({{"train", "tune", "--config", w.config.string(), "--out", w.out("t").string(), "--threads",
                 "1", "--points", "3", "--set", "train.lr=1e6", "--set", "train.weight_decay=1000"}}) == 5);
  REQUIRE_THAT(read_text(w.log), Contains("every run diverged") && !Contains("best: "));
}

TEST_CASE("a run that was started with --isa goes on with that row; another is refused") {
  Workshop w;
  w.run.train.steps = 1500;
  w.save();
  for (const bool named : {true, false}) {  // by --isa, or by the environment of the start alone
    const std::string name = named ? "named" : "surrounded";
    Launch launch =
        w.train(name, named ? std::vector<std::string>{"--isa", "scalar"} : std::vector<std::string>{});
    if (!named) launch.environment = {{"LOGLOG_ISA", "scalar"}};
    const pid_t child = start(launch, w.log);
    wait_until([&] { return w.has_checkpoint(name); });
    ::kill(child, SIGTERM);
    REQUIRE(wait_for(child) == 75);
    const bool other_row = kernels::select_table("auto").name != std::string("scalar");
    if (other_row) {
      REQUIRE(w.finish({{"train", "--resume", w.out(name).string(), "--isa",
                         std::string(kernels::select_table("auto").name)}}) == 2);
      REQUIRE_THAT(read_text(w.log), Contains("scalar"));
    }
    REQUIRE(w.finish({{"train", "--resume", w.out(name).string()}}) == 0);
    REQUIRE_THAT(read_text(w.out(name) / "record.jsonl"), !Contains("\"isa\":\"avx"));
    REQUIRE_THAT(read_text(w.out(name) / "config.toml"), Contains("isa = \"scalar\""));
  }
}

TEST_CASE("the memory plan is within 10% or 32 MiB of the most that the process took", "[process_memory]") {
  struct Case {
    const char* name;
    model::ModelConfig model;
    model::Index batch;
    int threads;
    double least;  // that is taken where products are bfloat16; in float32 it is more, but for weights packed
  };
  Workshop w;
  w.run.train.steps = 1;
  w.run.eval.tokens = 1024;
  const model::ModelConfig activations{.layers = 4, .width = 64, .heads = 4, .context = 256, .vocab = 8};
  const model::ModelConfig weights{.layers = 4, .width = 512, .heads = 8, .context = 16, .vocab = 8};
  const Case cases[] = {{"small", w.run.model, 3, 1, 0},
                        {"activations", activations, 96, 1, 100e6},
                        {"activations", activations, 96, 2, 100e6},
                        {"weights", weights, 2, 1, 180e6}};  // of which 50e6 are packed
  for (const char* precision : {"f32", "bf16"}) {
    for (const Case& c : cases) {
      w.run.model = c.model;
      w.run.train.batch = w.run.train.micro_batch = c.batch;
      w.run.train.precision = precision;
      w.save();
      const std::string name = fmt::format("{}-{}-{}", c.name, c.threads, precision);
      Launch launch = w.train(name);
      launch.arguments.back() = std::to_string(c.threads);
      REQUIRE(w.finish(launch) == 0);
      const std::vector<nlohmann::json> events = record_of(w.out(name));
      const double planned = events.front().at("memory_bytes");
      const double taken = events.back().at("peak_bytes");
      REQUIRE(taken >= events.back().at("resident_bytes").get<double>());
      INFO(name << ": planned " << planned << ", taken " << taken);
      REQUIRE(taken > c.least);
      REQUIRE(std::abs(planned - taken) <= std::max(0.1 * taken, 32.0 * (1 << 20)));
    }
  }
}

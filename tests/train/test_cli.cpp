// loglog train, as a shell runs it: what it prints, and what it begins with. Signals, exit codes and memory: test_process.cpp.
#include <algorithm>

#include "support/trained_run.hpp"

using namespace loglog;
using namespace loglog::testing;
using Catch::Contains;
using nlohmann::json;

namespace {

Path folder(const std::string& name) {
  return trained_run().folder.path() / name;
}

// The configuration and data of trained_run(), for another 20 steps' run.
std::string from_config(const std::string& options) {
  return fmt::format("--config {} --set data.path={} --set train.steps=20 --threads 1 {}",
                     folder("c.toml").string(), folder("text.tok").string(), options);
}

Outcome train(const std::string& arguments) {
  return run_program(trained_run().folder.path(), "train " + arguments);
}

json parsed(const Outcome& outcome) {
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  return json::parse(outcome.out);
}

std::vector<json> record_of(const Path& out) {
  return json_lines(read_text(out / "record.jsonl"));
}

}  // namespace

TEST_CASE("train prints the end of its record, for programs and for people") {
  const Path out = folder("printed");
  const json end = parsed(train(from_config("--json --out " + out.string())));
  json recorded = record_of(out).back();
  for (const char* key : {"schema", "event", "step"}) CHECK(recorded.erase(key) == 1);
  CHECK(end == recorded);
  CHECK(end["status"] == "done");
  const Outcome again = train("--resume " + out.string());  // there is nothing left to do
  CHECK(again.code == 0);
  CHECK_THAT(again.out,
             Contains(fmt::format("validation loss {:.4f} nats per token", end["val_loss"].get<double>())) &&
                 Contains(fmt::format("{} tokens", end["tokens"].get<int>())));
}

TEST_CASE("a folder that holds a run is not begun in anew, and one run has one folder") {
  const Outcome anew = train(from_config("--out " + trained_run().run.string()));
  CHECK(anew.code == 2);
  CHECK_THAT(anew.err, Contains("--resume"));
  const Outcome two =
      train(fmt::format("--resume {} --out {}", trained_run().run.string(), folder("other").string()));
  CHECK(two.code == 2);
  CHECK_THAT(two.err, Contains("different folders"));
  CHECK_FALSE(path_exists(folder("other")));
}

TEST_CASE("a run that is refused leaves no folder, and what was there stays") {
  const Path out = folder("refused"), old = folder("empty");
  std::filesystem::create_directory(old);
  for (const Path& name : {out, old}) {
    const Outcome refused = train(from_config("--set data.documents=mask --out " + name.string()));
    CHECK(refused.code == 2);
    CHECK_THAT(refused.err, Contains("does not say where a document ends"));
  }
  CHECK_FALSE(path_exists(out));
  CHECK(path_exists(old));
}

TEST_CASE("--bench times so many steps, and writes nothing") {
  const auto before = list_directory(trained_run().folder.path());
  const json bench = parsed(train(from_config("--bench 5 --json")));
  CHECK(list_directory(trained_run().folder.path()) == before);
  CHECK(bench["steps"] == 5);
  CHECK(bench["threads"] == 1);
  CHECK(bench["precision"] == "f32");
  const double rate = bench["tokens_per_s"], flops = bench["flops_per_s"], peak = bench["peak_flops_per_s"];
  CHECK(rate * bench["seconds_per_step"].get<double>() == Approx(8 * 32));
  CHECK(bench["share_of_peak"].get<double>() == Approx(flops / peak));
  // 6 n_matrix + 12 L T C of the model: what flops_mfu counts
  CHECK(flops / rate == Approx(6.0 * (2 * 12 * 32 * 32 + 256 * 32) + 12.0 * 2 * 32 * 32));
  double sum = 0;
  for (const auto& [family, seconds] : bench["seconds"].items()) sum += seconds.get<double>();
  CHECK(sum > 0);
  CHECK_THAT(train(from_config("--bench 5")).out, Contains("ms per step (median of 5)"));
}

TEST_CASE("tune names the value of the lowest loss, and every run that it made") {
  const std::string options = "tune " + from_config("--points 3 --share 1 --out " + folder("tuned").string());
  const json tuned = parsed(train(options + " --json"));
  CHECK(tuned["key"] == "train.lr");
  const auto& points = tuned["points"];
  REQUIRE(points.size() == 3);
  const auto best = std::min_element(points.begin(), points.end(), [](const json& a, const json& b) {
    return a["val_loss"].get<double>() < b["val_loss"].get<double>();
  });
  CHECK(tuned["value"] == (*best)["value"]);
  CHECK(tuned["at_end"] == (best == points.begin() || best == points.end() - 1));
  for (const json& point : points) {
    const json end = record_of(point["out"].get<std::string>()).back();
    CHECK(end["val_loss"] == point["val_loss"]);
  }
  // Nothing is trained twice.
  CHECK_THAT(train(options).out,
             Contains(fmt::format("best: --set train.lr={:.4g}", tuned["value"].get<double>())));
}

TEST_CASE("a fork goes on with what its parent was, or with its parameters alone") {
  const auto fork = [&](const std::string& name, const std::string& options) {
    return parsed(train(fmt::format("--fork {} --out {} --threads 1 --json {}", trained_run().run.string(),
                                    folder(name).string(), options)));
  };
  const json on = fork("on", "--set train.steps=160"), anew = fork("anew", "--restart --set train.steps=10");
  CHECK(record_of(folder("on")).back()["step"] == 160);
  CHECK(on["tokens"] == 160 * 8 * 32);
  CHECK(record_of(folder("anew")).back()["step"] == 10);
  CHECK(anew["tokens"] == 10 * 8 * 32);
  CHECK(anew["val_loss"].get<double>() < 1.0);  // bytes that nobody has learned cost 5.5
  const json config = record_of(folder("on")).front();
  CHECK(config["config"]["fork"]["parent"] == record_of(trained_run().run).front()["identity"]);
  CHECK(config["config"]["fork"]["step"] == 150);
}

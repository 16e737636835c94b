// loglog eval, as a shell runs it.
#include <signal.h>

#include <cmath>

#include "base/rng.hpp"
#include "support/trained_run.hpp"

using namespace loglog;
using namespace loglog::testing;
using Catch::Contains;
using nlohmann::json;

namespace {

Outcome evaluate(const std::string& options) {
  return trained_run().use("eval", options);
}

json evaluated(const std::string& options) {
  const Outcome outcome = evaluate(options + " --json");
  INFO(outcome.err);
  REQUIRE(outcome.code == 0);
  return json::parse(outcome.out);
}

json last_event(const TrainedRun& trained) {
  return json_lines(read_text(trained.run / "record.jsonl")).back();
}

}  // namespace

TEST_CASE("the loss of a checkpoint is the one that its record says, to the last bit") {
  for (const char* sets :
       {"", "--set train.precision=bf16 --set eval.tokens=3000 --set train.micro_batch=3 --set train.batch=9",
        "--set model.position=rope --set model.mask=window --set model.mask_span=5 --set "
        "data.split=position"}) {
    INFO(sets);
    const TrainedRun trained(sets);
    const json end = last_event(trained);
    for (const char* threads : {"--threads 1", "--threads 3"}) {
      const json found = json::parse(trained.use("eval", std::string("--json ") + threads).out);
      CHECK(found["loss"].get<double>() == end["val_loss"].get<double>());
      CHECK(found["bits_per_byte"].get<double>() == end["bits_per_byte"].get<double>());
      CHECK(found["step"] == end["step"]);
      CHECK(found["standard_error"].get<double>() > 0);
    }
  }
}

TEST_CASE("so it is where only some targets count and documents are kept apart") {
  for (const char* sets : {"", "--set data.documents=mask"}) {
    INFO(sets);
    const TrainedRun trained(sets, TrainedRun::Data::pairs);
    const json end = last_event(trained),
               found = json::parse(trained.use("eval", "--by position,source --json").out);
    CHECK(found["loss"].get<double>() == end["val_loss"].get<double>());
    CHECK(found["tokens"].get<double>() < 0.8 * 32 * found["windows"].get<double>());  // 16 of 26 are answers
    double tokens = 0;
    for (const json& part : found["positions"]) tokens += part["tokens"].get<double>();
    CHECK(tokens == found["tokens"].get<double>());
  }
}

TEST_CASE("the parts of a loss make the whole") {
  const std::string spans = trained_run().write("spans.jsonl",
                                                "{\"begin\": 0, \"end\": 20000, \"name\": \"first\"}\n"
                                                "{\"begin\": 20000, \"end\": 30000, \"name\": \"second\"}\n");
  const json all = evaluated("--split all --tokens 0 --by position,source --spans " + spans);
  const auto mean_of = [&](const char* table) {
    double sum = 0, tokens = 0;
    for (const json& part : all[table]) {
      sum += part["loss"].get<double>() * part["tokens"].get<double>();
      tokens += part["tokens"].get<double>();
    }
    CHECK(tokens == all["tokens"].get<double>());
    return sum / tokens;
  };
  CHECK(mean_of("positions") == Approx(all["loss"].get<double>()).epsilon(1e-12));
  CHECK(mean_of("sources") == Approx(all["loss"].get<double>()).epsilon(1e-12));
  REQUIRE(all["loss_at"].size() == 32);
  CHECK(all["positions"][0]["loss"] == all["loss_at"][0]);
  REQUIRE(all["spans"].size() == 2);
  CHECK(all["spans"][0]["tokens"].get<int>() == 19999);  // the first token is not predicted
  CHECK(all["spans"][1]["tokens"].get<int>() == 10000);

  const json training = evaluated("--split train --tokens 0"),
             held_back = evaluated("--split validation --tokens 0");
  CHECK(training["tokens"].get<double>() > 5 * held_back["tokens"].get<double>());  // a tenth is held back
  CHECK(training["loss"] != held_back["loss"]);
  const json few = evaluated("--split train --tokens 640");
  CHECK(few["tokens"] == 640);
  CHECK(few["windows"] == 20);
  const Outcome text = evaluate("--by position,source --spans " + spans);
  CHECK(text.code == 0);
  CHECK_THAT(text.out, Contains("nats per token") && Contains("bits per byte") && Contains("16-31") &&
                           Contains("second") && Contains("+-"));
}

TEST_CASE("tasks: a model knows what it was trained on") {
  const std::string choices = trained_run().write(
      "choices.jsonl",
      "{\"prompt\": \"the cat 3 sat on\", \"choices\": [\" the mat\", \" xqz kkq\"], \"answer\": 0}\n"
      "{\"prompt\": \"the cat 5 sat\", \"choices\": [\"zzz\", \"q on \", \" on the\"], \"answer\": \" on "
      "the\"}\n");
  const std::string items = (trained_run().folder.path() / "items.jsonl").string();
  const json scored = evaluated("--task " + choices + " --items " + items);
  CHECK(scored["kind"] == "multiple-choice");
  CHECK(scored["items"] == 2);
  CHECK(scored["metrics"]["accuracy"]["value"] == 1.0);
  CHECK(scored["metrics"]["rank"]["value"] == 1.0);
  CHECK(scored["metrics"]["brier"]["value"].get<double>() < 0.01);
  const auto lines = json_lines(read_text(items));
  REQUIRE(lines.size() == 2);
  CHECK(lines[1]["line"] == 2);
  CHECK(lines[0]["answer"] == 0);
  CHECK(lines[1]["answer"] == 2);
  CHECK(lines[1]["log_probs"].size() == 3);
  CHECK(lines[1]["token_log_probs"].size() == 7);
  double sum = 0;
  for (const json& x : lines[1]["token_log_probs"]) sum += x.get<double>();
  CHECK(sum == Approx(lines[1]["log_probs"][2].get<double>()));

  const std::string csv =
      trained_run().write("t.csv",
                          "prompt,classes,answer_index\n\"the cat 3 sat on\",\"[' the mat', ' xqz kkq']\",0\n"
                          "the cat 5 sat,\"['zzz', ' on the']\",1\n");
  CHECK(evaluated("--task " + csv)["metrics"]["accuracy"]["value"] == 1.0);

  const std::string match = trained_run().write("match.jsonl",
                                                "{\"prompt\": \"the cat 1 s\", \"target\": \"at on\"}\n"
                                                "{\"prompt\": \"the cat 1 s\", \"target\": \"it on\"}\n");
  const json exact = evaluated("--task " + match + " --kind exact-match --items " + items);
  CHECK(exact["metrics"]["exact_match"]["value"] == 0.5);
  CHECK(exact["metrics"]["edit_distance"]["value"] == 0.5);
  CHECK(json_lines(read_text(items))[1]["output_text"] == "at on");
  for (const char* batch : {"--batch 1", "--batch 7 --threads 1"})
    CHECK(evaluated("--task " + match + " " + batch)["metrics"] == evaluated("--task " + match)["metrics"]);
  CHECK_THAT(evaluate("--task " + match).out, Contains("exact_match") && Contains("95% interval"));
  for (const std::string cache : {"f32", "bf16", "int8"}) {
    INFO(cache);
    const std::string options = "--task " + match + " --cache " + cache;
    const json scores = evaluated(options);
    CHECK(scores["cache"] == cache);
    CHECK(scores["metrics"]["exact_match"]["value"] == exact["metrics"]["exact_match"]["value"]);
    CHECK(evaluated(options + " --batch 1")["metrics"] == scores["metrics"]);
    CHECK((scores["metrics"] == exact["metrics"]) == (cache == "f32"));
  }
  CHECK(exact["cache"] == "f32");
}

TEST_CASE("intervals of a task hold its means, and depend on the seed alone") {
  std::string text;
  for (int i = 0; i < 12; ++i)
    text +=
        fmt::format("{{\"prompt\": \"the cat {}{}\", \"choices\": [\" sat\", \" {}\"], \"answer\": {}}}\n", i,
                    std::string(static_cast<std::size_t>(i), 'x'), i, i % 2);
  const std::string task = trained_run().write("twelve.jsonl", text);
  const json first = evaluated("--task " + task)["metrics"];
  for (const char* name : {"accuracy", "probability", "brier", "log_prob", "calibration_error"}) {
    INFO(name);
    CHECK(first[name]["lo"].get<double>() <= first[name]["value"].get<double>());
    CHECK(first[name]["value"].get<double>() <= first[name]["hi"].get<double>());
  }
  CHECK(first["log_prob"]["lo"].get<double>() < first["log_prob"]["hi"].get<double>());
  CHECK(evaluated("--task " + task + " --seed 1")["metrics"] == first);
  CHECK(evaluated("--task " + task + " --seed 2")["metrics"] != first);
}

TEST_CASE("data of another vocabulary is refused, and of another tokenizer told") {
  const Path folder = trained_run().folder.path();
  const auto import = [&](const std::string& arguments) {
    REQUIRE(run_program(folder, "data import " + arguments).code == 0);
  };
  const std::string big = (folder / "big.tok").string(), chars = (folder / "chars.tok").string();
  std::string shard;  // 16 bits a token
  const Rng rng(3, 1);
  for (std::uint64_t i = 0; i < 20000; ++i) (shard += static_cast<char>(rng.below(i, 128))) += '\0';
  import(trained_run().write("shard.bin", shard) + " --shards nanogpt --vocab 300 -o " + big);
  const Outcome refused = evaluate("--data " + big);
  CHECK(refused.code == 4);
  CHECK_THAT(refused.err, Contains("big.tok' has a vocabulary of 300, the model one of 256"));
  import((folder / "text.txt").string() + " --tokenizer chars -o " + chars);
  const Outcome told = evaluate("--data " + chars);
  CHECK(told.code == 0);
  CHECK_THAT(told.err, Contains("chars.tok' was made with another tokenizer"));
  CHECK_THAT(evaluate("").err, !Contains("another tokenizer"));
}

TEST_CASE("a stop signal ends eval without a result, with its own exit code") {
  std::string lines;
  for (int i = 0; i < 2'000'000; ++i) lines += fmt::format("line {}\n", i);
  const std::string text = trained_run().write("much.txt", lines);
  const std::string tokens = (trained_run().folder.path() / "much.tok").string();
  REQUIRE(run_program(trained_run().folder.path(), "data import " + text + " -o " + tokens).code == 0);
  std::string items;
  for (int i = 0; i < 200000; ++i)
    items += "{\"prompt\": \"the cat\", \"choices\": [\" sat\", \"x\"], \"answer\": 0}\n";
  const std::string task = trained_run().write("much.jsonl", items);
  const std::string out = (trained_run().folder.path() / "written").string();
  for (const std::string& options : {"--split all --tokens 0 --data " + tokens, "--batch 1 --task " + task}) {
    INFO(options);
    const Outcome outcome =
        evaluate(fmt::format("{} --threads 1 >{} & until grep -q 'SigCgt:.*[4-7c-f]...$' /proc/$!/status; do "
                             "sleep 0.02; done; kill -TERM $!; wait $!",
                             options, out));
    CHECK(outcome.code == 128 + SIGTERM);
    CHECK(read_text(out).empty());
  }
}

TEST_CASE("what eval refuses, and how") {
  struct Case {
    std::string options;
    int code;
    std::string message;
  };
  const std::string bad_task =
      trained_run().write("bad.jsonl", "{\"prompt\": \"p\", \"choices\": [\"a\", \"b\"], \"answer\": 2}\n");
  const std::string long_task = trained_run().write(
      "long.jsonl", "{\"prompt\": \"" + std::string(30, 'p') + "\", \"target\": \"abcd\"}\n");
  const std::string bad_spans =
      trained_run().write("bad_spans.jsonl", "{\"begin\": 5, \"end\": 4, \"name\": \"a\"}\n");
  const Case cases[] = {
      {"--task " + bad_task, 4, "bad.jsonl:1': 'answer' is 2, must be 0 to 1"},
      {"--task " + long_task, 4, "have 34 tokens, the model's context is 32"},
      {"--task /absent", 4, "/absent"},
      {"--task ''", 2, "--task"},
      {"--data ''", 2, "--data"},
      {"--spans ''", 2, "--spans"},
      {"--task " + bad_task + " --kind ''", 2, "--kind"},
      {"--task " + bad_task + " --items ''", 2, "--items"},
      {"--task " + bad_task + " --items " + bad_task, 2, "choose another name"},
      {"--task " + bad_task + " --kind exact-mach", 2, "did you mean 'exact-match'"},
      {"--task " + bad_task + " --data x.tok", 2, "excludes"},
      {"--items x", 2, "--task"},
      {"--cache int8", 2, "--task"},
      {"--task " + bad_task + " --cache f64", 2, "--cache"},
      {"--spans " + bad_spans, 4, "bad_spans.jsonl:1': span [5, 4)"},
      {"--data /absent", 4, "/absent"},
      {"--by letter", 2, "letter"},
      {"--split test", 2, "test"},
  };
  for (const Case& c : cases) {
    INFO(c.options);
    const Outcome outcome = evaluate(c.options);
    CHECK(outcome.code == c.code);
    CHECK(outcome.out.empty());
    CHECK_THAT(outcome.err, Contains(c.message));
  }
  CHECK_THAT(evaluate("--help").out, Contains("--spans") && Contains("Examples:"));
}

TEST_CASE("a damaged checkpoint is refused by name") {
  const TrainedRun trained;
  for (const std::string& name : list_directory(trained.run / "checkpoints")) {
    if (!name.ends_with(".safetensors")) continue;
    const Path file = trained.run / "checkpoints" / name;
    std::filesystem::resize_file(file, std::filesystem::file_size(file) - 4);
  }
  for (const char* verb : {"eval", "generate"}) {
    const Outcome outcome = trained.use(verb, "");
    CHECK(outcome.code == 4);
    CHECK_THAT(outcome.err, Contains(".safetensors"));
  }
}

TEST_CASE("a model that has diverged answers nothing, and its loss is no number") {
  const TrainedRun trained;
  // A model folder, whose numbers no checksum vouches for. The last of them are the final norm's bias.
  const Path folder = trained.folder.path() / "model";
  REQUIRE(run_program(trained.folder.path(), fmt::format("export {} -o {} --format hf", trained.run.string(),
                                                         (trained.folder.path() / "hf").string()))
              .code == 0);
  REQUIRE(
      run_program(trained.folder.path(),
                  fmt::format("import {} -o {}", (trained.folder.path() / "hf").string(), folder.string()))
          .code == 0);
  const std::string task = trained.write(
      "task.jsonl", "{\"prompt\": [116, 104], \"choices\": [[101], [32, 32]], \"answer\": 0}\n");
  const std::string options = fmt::format("eval {} --task {} --json", folder.string(), task);
  REQUIRE(run_program(trained.folder.path(), options).code == 0);
  {
    std::fstream tensors(folder / "model.safetensors", std::ios::in | std::ios::out | std::ios::binary);
    tensors.seekp(-64, std::ios::end);
    tensors << std::string(64, '\xFF');  // NaN
  }
  const Outcome outcome = run_program(trained.folder.path(), options);
  CHECK(outcome.code == 5);
  CHECK(outcome.out.empty());
  CHECK_THAT(outcome.err, Contains("line 1 of the task") && Contains("diverged"));
  const Outcome loss =
      run_program(trained.folder.path(), fmt::format("eval {} --data {} --json", folder.string(),
                                                     (trained.folder.path() / "text.tok").string()));
  CHECK(loss.code == 5);
  CHECK(json::parse(loss.out)["loss"] == "nan");
}

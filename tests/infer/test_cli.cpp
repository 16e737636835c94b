// loglog generate, as a shell runs it.
#include <signal.h>
#include <sys/resource.h>

#include <algorithm>

#include "kernels/isa.hpp"
#include "support/trained_run.hpp"

using namespace loglog;
using namespace loglog::testing;
using Catch::Contains;

namespace {

Outcome generate(const std::string& options) {
  return trained_run().use("generate", options);
}

}  // namespace

TEST_CASE("a trained model writes what it was trained on") {
  const Outcome greedy = generate("--prompt 'the cat 1 s' --temperature 0 --max-tokens 10");
  CHECK(greedy.code == 0);
  CHECK(greedy.out == "at on the \n");
  CHECK_THAT(greedy.err, Contains(" tokens read in ") && Contains("then 9 tokens in ") &&
                             Contains("tokens/s") && Contains("memory (of "));
  CHECK(generate("--prompt 'the cat 1 s' --temperature 0 --max-tokens 10 --precision bf16").out ==
        greedy.out);
  const std::string file = trained_run().write("prompt.txt", "the cat 1 s");
  CHECK(generate("--prompt-file " + file + " --temperature 0 --max-tokens 10").out == greedy.out);
  CHECK(generate("--prompt 'the cat 1 s' --temperature 0 --max-tokens 10 --stop 'n th'").out == "at o\n");
  const auto stopped =
      json_lines(generate("--prompt 'the cat 1 s' --temperature 0 --max-tokens 10 --stop 'n th' --json").out);
  REQUIRE(stopped.size() == 1);
  CHECK(stopped[0]["text"] == "at o");
  CHECK(stopped[0]["ended"] == "stop");
  // What might have become the stop text is text when nothing more comes.
  CHECK(generate("--prompt 'the cat 1 s' --temperature 0 --max-tokens 10 --stop 'the X'").out == greedy.out);
  CHECK(json_lines(generate("--max-tokens 1 --json").out)[0]["prompt"] == "\n");
}

TEST_CASE("a batch is its samples alone, to the last token") {
  const std::string options = "--prompt 'the ' --max-tokens 25 --temperature 1.5 --seed 3 --json ";
  const Outcome all = generate(options + "--batch 8");
  REQUIRE(all.code == 0);
  const auto samples = json_lines(all.out);
  REQUIRE(samples.size() == 8);
  CHECK(generate(options + "--batch 8 --threads 1").out == all.out);
  for (std::size_t i = 0; i < samples.size(); ++i) {
    CHECK(samples[i]["sample"] == i);
    CHECK(samples[i]["tokens"].size() == 25);
    CHECK(samples[i]["prompt_tokens"] == nlohmann::json({'t', 'h', 'e', ' '}));
    CHECK(samples[i]["ended"] == "length");
    if (i > 0) CHECK(samples[i]["tokens"] != samples[0]["tokens"]);
    const auto alone = json_lines(generate(options + fmt::format("--first-sample {}", i)).out);
    CHECK(alone == std::vector{samples[i]});
  }
  CHECK(json_lines(
            generate("--prompt 'the ' --max-tokens 25 --temperature 1.5 --seed 4 --json").out)[0]["tokens"] !=
        samples[0]["tokens"]);
}

TEST_CASE(
    "every type of cache gives a batch the tokens of its samples alone, and takes the memory that it says") {
  const std::string options = "--prompt 'the ' --max-tokens 25 --temperature 1.5 --seed 3 --json ";
  const std::string plain = generate(options + "--batch 6").out;
  CHECK(generate(options + "--batch 6 --cache f32").out == plain);
  for (const std::string cache : {"f32", "bf16", "int8"}) {
    INFO(cache);
    const Outcome all = generate(options + "--batch 6 --cache " + cache);
    REQUIRE(all.code == 0);
    CHECK_THAT(all.err, Contains("cache " + cache + ")"));
    const auto samples = json_lines(all.out);
    REQUIRE(samples.size() == 6);
    for (std::size_t i = 0; i < samples.size(); ++i)
      CHECK(json_lines(generate(options + fmt::format("--first-sample {} --cache {}", i, cache)).out) ==
            std::vector{samples[i]});
  }
  CHECK_THAT(generate("--max-tokens 1 --precision bf16").err, Contains("cache bf16)"));
  CHECK(generate("--prompt 'the cat 1 s' --temperature 0 --max-tokens 10 --cache int8").out ==
        "at on the \n");
}

TEST_CASE("tokens in, tokens out") {
  const Outcome numbers = generate("--tokens 116,104,101 --temperature 0 --max-tokens 4");
  CHECK(numbers.code == 0);
  CHECK_THAT(numbers.out, Contains("32,") && Contains("\n"));  // a space follows "the"
  CHECK(json_lines(generate("--tokens 116,104 --max-tokens 3 --json").out)[0]["tokens"].size() == 3);
  CHECK(generate("--tokens '116, 104, 101' --temperature 0 --max-tokens 4").out == numbers.out);
}

TEST_CASE("samples of a text follow each other under headings") {
  const std::string options = "--prompt 'the ' --max-tokens 5 --top-k 3 --batch 70";  // 64 at a time
  const Outcome text = generate(options);
  CHECK(text.code == 0);
  std::string expected;
  for (const auto& sample : json_lines(generate(options + " --json").out))
    expected += fmt::format("--- sample {} ---\n{}\n", sample["sample"].get<int>(),
                            sample["text"].get<std::string>());
  CHECK(text.out == expected);
  CHECK_THAT(text.out, Contains("--- sample 69 ---\n"));
  CHECK_THAT(generate("--batch 2 --first-sample 5 --max-tokens 5").out,
             Catch::StartsWith("--- sample 5 ---\n") && Contains("\n--- sample 6 ---\n"));
}

TEST_CASE("many samples take no more memory than those that are written at a time", "[process_memory]") {
  const auto most_of_any_child = [] {
    rusage usage{};
    ::getrusage(RUSAGE_CHILDREN, &usage);
    return usage.ru_maxrss;  // KiB
  };
  const std::string options = "--prompt aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa --max-tokens 1 --threads 1 --batch ";
  CHECK(generate(options + "64").code == 0);
  const long before = most_of_any_child();
  const Outcome many = generate(options + "100000");
  CHECK(many.code == 0);
  CHECK_THAT(many.out, Contains("--- sample 99999 ---\n"));
  CHECK(most_of_any_child() < before + 8 * 1024);
}

TEST_CASE(
    "a model runs where the row that it was trained with is missing, and says so; one that is asked for must "
    "be there") {
  const TrainedRun trained;
  const auto& rows = kernels::isa_rows();
  const bool has_neon = std::ranges::any_of(rows, [](const auto& row) { return row.name == "neon"; });
  const std::string missing = has_neon ? "avx2" : "neon";
  const std::string options = "--prompt 'the cat 1 s' --temperature 0 --max-tokens 10";
  const std::string expected = trained.use("generate", options).out;
  Path manifest;
  for (const std::string& name : list_directory(trained.run / "checkpoints"))
    if (name.ends_with(".json")) manifest = trained.run / "checkpoints" / name;
  const auto written = nlohmann::ordered_json::parse(read_text(manifest));
  for (const char* place : {"/isa", "/config/train/isa"}) {  // that it ran with; that it was asked to
    INFO(place);
    auto changed = written;
    changed[nlohmann::ordered_json::json_pointer(place)] = missing;
    std::ofstream(manifest) << changed.dump();
    for (const char* verb : {"generate", "eval"}) {
      const Outcome elsewhere = trained.use(verb, verb == std::string("eval") ? "" : options);
      CHECK(elsewhere.code == 0);
      CHECK_THAT(elsewhere.err, Contains("trained with isa '" + missing + "', which is not here"));
      if (verb == std::string("generate")) CHECK(elsewhere.out == expected);
    }
    const Outcome asked = trained.use("generate", options + " --isa " + missing);
    CHECK(asked.code == 2);
    CHECK_THAT(asked.err, Contains("isa '" + missing + "'"));
  }
}

TEST_CASE("what generate refuses, and how") {
  const std::pair<std::string, std::string> cases[] = {
      {"--max-tokens 33", "context of 32 tokens has room for 32 behind a prompt of 1, not for 33"},
      {"--prompt aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "34 tokens, the model's context 32"},
      {"--tokens 256", "token 256: the model knows 0 to 255"},
      {"--tokens -1", "--tokens: '-1' is no token"},
      {"--tokens ''", "--tokens: '' is no token"},
      {"--tokens 1,,2", "--tokens: '' is no token"},
      {"--tokens 1,2,", "--tokens: '' is no token"},
      {"--tokens 1x", "--tokens: '1x' is no token"},
      {"--tokens 99999999999999999999", "'99999999999999999999' is no token"},
      {"--prompt-file ''", "--prompt-file"},
      {"--temperature -1", "--temperature"},
      {"--top-p 0", "--top-p"},
      {"--prompt a --tokens 1", "excludes"},
      {"--tokens 1 --stop x", "exclude each other"},
      {"--max-token 3", "did you mean '--max-tokens'"},
      {"--cache f16", "--cache"},
      {"--cache int4", "int8"},
  };
  for (const auto& [options, message] : cases) {
    INFO(options);
    const Outcome outcome = generate(options);
    CHECK(outcome.code == 2);
    CHECK(outcome.out.empty());
    CHECK_THAT(outcome.err, Contains(message));
  }
  CHECK(generate("--max-tokens 100 --slide").code == 0);
  CHECK(generate("--prompt-file /absent").code == 4);
  const Outcome absent = run_program(trained_run().folder.path(), "generate /absent");
  CHECK(absent.code == 4);
  CHECK_THAT(absent.err, Contains("/absent"));
  const Outcome tokenless = run_program(
      trained_run().folder.path(), fmt::format("generate {} --prompt a", trained_run().run.string()),
      fmt::format("mv {0}/codec.json {0}/c; mv {1}/text.tok {1}/t;", trained_run().run.string(),
                  trained_run().folder.path().string()));
  CHECK(tokenless.code == 2);
  CHECK_THAT(tokenless.err, Contains("give --tokens"));
  std::filesystem::rename(trained_run().run / "c", trained_run().run / "codec.json");
  std::filesystem::rename(trained_run().folder.path() / "t", trained_run().folder.path() / "text.tok");
}

TEST_CASE("a stop signal ends the text where it is, with its own exit code") {
  const std::string out = (trained_run().folder.path() / "written").string();
  const std::string err = (trained_run().folder.path() / "said").string();
  for (const auto& [name, number] : {std::pair{"TERM", SIGTERM}, {"HUP", SIGHUP}}) {
    INFO(name);
    std::filesystem::remove(out);
    const Outcome outcome =
        generate(fmt::format("--max-tokens 100000000 --slide --threads 1 >{0} 2>{1} & until [ -s {0} ]; do "
                             "sleep 0.02; done; kill -{2} $!; wait $!",
                             out, err, name));
    CHECK(outcome.code == 128 + number);
    CHECK_THAT(read_text(out), Catch::EndsWith("\n"));
    CHECK_THAT(read_text(err),
               Contains(" tokens in "));  // it ended itself: a signal that nobody caught says nothing
  }
}

TEST_CASE("a sample that a signal ended says so, and has the text of all its tokens") {
  const std::string out = (trained_run().folder.path() / "written").string();
  // Once TERM is caught. The stop text never comes, but most of the time something of it has.
  const Outcome outcome = generate(fmt::format(
      "--prompt 'the cat 1 s' --temperature 0 --max-tokens 100000000 --slide --threads 1 --json "
      "--stop 'at on the mat.\nthe X' >{} & until grep -q 'SigCgt:.*[4-7c-f]...$' /proc/$!/status; do "
      "sleep 0.02; done; sleep 0.5; kill -TERM $!; wait $!",
      out));
  CHECK(outcome.code == 128 + SIGTERM);
  const auto lines = json_lines(read_text(out));
  REQUIRE(lines.size() == 1);
  CHECK(lines[0]["ended"] == "signal");
  std::string text;
  for (const auto& token : lines[0]["tokens"]) text += static_cast<char>(token.get<int>());
  CHECK(!text.empty());
  CHECK(lines[0]["text"].get<std::string>() == text);
}

TEST_CASE("a reader that has seen enough is no failure") {
  const Path code = trained_run().folder.path() / "code";
  const Outcome head =
      run_program(trained_run().folder.path(),
                  fmt::format("generate {} --max-tokens 3000 --slide --threads 1; echo $? >{} ) | head -c 5",
                              trained_run().run.string(), code.string()),
                  "(");
  CHECK(head.out.size() == 5);
  CHECK(read_text(code) == "0\n");
}

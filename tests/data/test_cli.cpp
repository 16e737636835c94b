// The verbs `data import` and `data info`, and what every verb says about an input that is not there.
#include <fmt/format.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/rng.hpp"
#include "support/catch.hpp"
#include "support/program.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using namespace loglog::testing;
using Catch::Contains;

namespace {

std::string some_text(std::uint64_t seed) {
  std::string text;
  for (std::uint64_t i = 0; i < 20000; ++i)
    text += fmt::format("{}{}", Rng(seed, 1).bits(i), i % 9 == 8 ? '\n' : ' ');
  return text;
}

Path write_file(const TemporaryFolder& folder, const std::string& name, const std::string& text) {
  std::ofstream(folder.path() / name, std::ios::binary) << text;
  return folder.path() / name;
}

}  // namespace

TEST_CASE("text becomes a token file, with what it holds on stdout") {
  const TemporaryFolder folder;
  const Path text = write_file(folder, "book.txt", some_text(1));
  const std::string tok = (folder.path() / "book.tok").string();
  const Outcome plain = run_program(folder.path(), "data import " + text.string() + " -o " + tok);
  REQUIRE(plain.code == 0);
  REQUIRE(plain.err == "");
  REQUIRE_THAT(plain.out, Contains("source      book") && Contains("overlap     0.00%"));
  const Outcome info = run_program(folder.path(), "data info " + tok + " --json");
  REQUIRE(info.code == 0);
  const auto described = nlohmann::json::parse(info.out);
  REQUIRE(described["tokens"] == read_text(text).size());
  REQUIRE(described["command"][1] == "data");
}

TEST_CASE("validation text that was also trained on is a warning, for people and for programs") {
  const TemporaryFolder folder;
  const std::string text = some_text(2);
  const Path twice = write_file(folder, "twice.txt", text + "shift\n" + text);
  const std::string command =
      "data import " + twice.string() + " -o " + (folder.path() / "twice.tok").string();
  for (const char* mode : {"", " --json"}) {
    INFO(mode);
    const Outcome outcome = run_program(folder.path(), command + mode);
    REQUIRE(outcome.code == 0);
    REQUIRE_THAT(outcome.err, Contains("warning") && Contains("was also trained on"));
    REQUIRE_THAT(outcome.out, !Contains("warning"));
  }
  const auto json = nlohmann::json::parse(run_program(folder.path(), command + " --json").out);
  REQUIRE(json["overlap"]["share"].get<double>() > 0.02);
}

TEST_CASE("an input that is missing or a folder has exit 4 and is named, whatever the verb") {
  const TemporaryFolder folder;
  const std::string out = (folder.path() / "out").string();
  for (const std::string& path : {(folder.path() / "absent").string(), folder.path().string()}) {
    const Path config = write_file(folder, "c.toml", "[data]\npath = \"" + path + "\"\n");
    for (const std::string& command :
         {"data import " + path + " -o " + out, "data info " + path, "fit --law power-N --input " + path,
          "train --config " + config.string() + " --out " + out,
          "train --config " + path + " --out " + out}) {
      INFO(command);
      const Outcome outcome = run_program(folder.path(), command);
      CAPTURE(outcome.err);
      REQUIRE(outcome.code == 4);
      REQUIRE_THAT(outcome.err, Contains(path));
      REQUIRE_FALSE(std::filesystem::exists(out));
    }
  }
}

TEST_CASE("text that cannot be split is refused, by its own name, and leaves the old token file") {
  const TemporaryFolder folder;
  const Path text = write_file(folder, "book.txt", some_text(3));
  const Path tok = folder.path() / "book.tok";
  REQUIRE(run_program(folder.path(), "data import " + text.string() + " -o " + tok.string()).code == 0);
  const std::string before = read_text(tok);
  for (const std::string& useless : {std::string("\n"), std::string(100000, 'a')}) {
    const Path bad = write_file(folder, "bad.txt", useless);
    const Outcome outcome = run_program(folder.path(), "data import " + bad.string() + " -o " + tok.string());
    CAPTURE(outcome.err);
    REQUIRE(outcome.code == 4);
    REQUIRE_THAT(outcome.err, Contains("in '" + bad.string() + "'") && Contains("not written"));
    REQUIRE_THAT(outcome.err, !Contains("val_share") && !Contains(".tmp"));
    REQUIRE(read_text(tok) == before);
    REQUIRE(list_directory(folder.path()).size() == 3);
  }
}

TEST_CASE(
    "a file name that is not UTF-8 is shown with U+FFFD, and refused where it must come back as it was") {
  const TemporaryFolder folder;
  const Path text = write_file(folder, "caf\xe9.txt", some_text(4));
  const std::string tok = (folder.path() / "lat\xe9.tok").string();
  const Outcome import = run_program(folder.path(), "data import " + text.string() + " --json -o " + tok);
  CAPTURE(import.err);
  REQUIRE(import.code == 0);
  REQUIRE(nlohmann::json::parse(import.out)["sources"][0]["name"] == "caf\ufffd");
  const Outcome info = run_program(folder.path(), "data info " + tok + " --json");
  REQUIRE(info.code == 0);
  REQUIRE_THAT(nlohmann::json::parse(info.out)["path"].get<std::string>(), Contains("lat\ufffd.tok"));
  const Path config = write_file(folder, "c.toml", "");
  const Path out = folder.path() / "run";
  const Outcome train = run_program(folder.path(), "train --config " + config.string() +
                                                       " --set data.path=" + tok + " --out " + out.string());
  REQUIRE(train.code == 2);
  REQUIRE_THAT(train.err, Contains("not UTF-8"));
  REQUIRE_FALSE(std::filesystem::exists(out));
}

TEST_CASE("two sources whose names become the same in the header are refused") {
  const TemporaryFolder folder;
  const std::string first = write_file(folder, "caf\xe9.txt", some_text(5)).string();
  const std::string second = write_file(folder, "caf\xe8.txt", some_text(6)).string();
  const std::string out = (folder.path() / "two.tok").string();
  const Outcome outcome = run_program(folder.path(), "data import " + first + " " + second + " -o " + out);
  REQUIRE(outcome.code == 2);
  REQUIRE_THAT(outcome.err, Contains("two sources are called 'caf\ufffd'"));
  REQUIRE_FALSE(std::filesystem::exists(out));
}

TEST_CASE("a vocabulary is trained, used, and taken over from the token file") {
  const TemporaryFolder folder;
  const Path text = write_file(folder, "book.txt", some_text(7)),
             other = write_file(folder, "other.txt", some_text(8));
  const std::string json = (folder.path() / "tokenizer.json").string(),
                    tok = (folder.path() / "book.tok").string(),
                    second = (folder.path() / "other.tok").string(),
                    both = (folder.path() / "both.tok").string();
  const Outcome trained =
      run_program(folder.path(), "data train-bpe " + text.string() + " --vocab 300 --json -o " + json);
  CAPTURE(trained.err);
  REQUIRE(trained.code == 0);
  const auto report = nlohmann::json::parse(trained.out);
  REQUIRE(report["vocab_size"] == 300);
  REQUIRE(report["merges"] == 43);
  REQUIRE(report["text_bytes"] == read_text(text).size());
  REQUIRE(run_program(folder.path(), "data import " + text.string() + " --tokenizer " + json + " -o " + tok)
              .code == 0);
  REQUIRE(
      run_program(folder.path(), "data import " + other.string() + " --tokenizer " + tok + " -o " + second)
          .code == 0);
  const Outcome mixed = run_program(folder.path(), "data mix " + tok + " " + second + " --json -o " + both);
  CAPTURE(mixed.err);
  REQUIRE(mixed.code == 0);
  const auto described = nlohmann::json::parse(mixed.out);
  REQUIRE(described["sources"].size() == 2);
  REQUIRE(described["vocab_size"] == 300);
  REQUIRE(described["document_end"] == 299);
  const Path lines = write_file(folder, "l.jsonl", "{\"t\":\"the other\"}\n{\"t\":\"the\"}\n");
  const Outcome fields =
      run_program(folder.path(), "data train-bpe " + lines.string() + " --field t --vocab 258 --bare -o " +
                                     (folder.path() / "l.json").string());
  CAPTURE(fields.err);
  REQUIRE(fields.code == 0);
  REQUIRE_THAT(fields.out, Contains("258 (256 bytes, 2 merges)") && Contains("12 bytes"));
  const Path bytes = folder.path() / "bytes.tok";
  REQUIRE(run_program(folder.path(), "data import " + text.string() + " -o " + bytes.string()).code == 0);
  const Outcome refused =
      run_program(folder.path(), "data mix " + tok + " " + bytes.string() + " -o " + both);
  REQUIRE(refused.code == 4);
  REQUIRE_THAT(refused.err, Contains(bytes.string()));
}

TEST_CASE("options of train-bpe, shards and prompts that make no sense are exit 2, damaged files exit 4") {
  const TemporaryFolder folder;
  const std::string text = write_file(folder, "t.txt", some_text(9)).string(),
                    out = (folder.path() / "o").string();
  const std::string broken = write_file(folder, "broken.json", "{\"model\": 3}").string();
  const std::string deep =
      write_file(folder, "deep.json",
                 "{\"model\":" + std::string(80'000, '[') + std::string(80'000, ']') + "}")
          .string();
  for (const auto& [arguments, code] : std::vector<std::pair<std::string, int>>{
           {"data train-bpe " + text + " --vocab 256 -o " + out, 2},
           {"data train-bpe " + text + " --vocab 65537 -o " + out, 2},
           {"data train-bpe " + text + " --vocab 300 -o " + text, 2},
           {"data train-bpe " + out + " --vocab 300 -o " + out + "2", 4},
           {"data import " + text + " --tokenizer " + broken + " -o " + out, 4},
           {"data import " + text + " --tokenizer byts -o " + out, 2},
           {"data import " + text + " --vocab 7 -o " + out, 2},
           {"data import " + text + " --prompt-field p -o " + out, 2},
           {"data import " + text + " --field '' -o " + out, 2},
           {"data import " + text + " --field x --prompt-field '' -o " + out, 2},
           {"data train-bpe " + text + " --vocab 300 --field '' -o " + out, 2},
           {"data import " + text + " -o ''", 2},
           {"data mix " + text + " -o ''", 2},
           {"data synth --world markov -o ''", 2},
           {"data train-bpe " + text + " --vocab 300 -o ''", 2},
           {"data import " + text + " -o " + std::string(300, 'x'), 2},
           {"data import " + text + " -o " + folder.path().string(), 1},
           {"data import " + text + " -o " + out + "/o", 1},
           {"data import " + text + " --tokenizer " + deep + " -o " + out, 4},
           {"data import " + text + " --shards nanogpt -o " + out, 2},
           {"data import " + text + " --shards nanogpt --vocab 100 -o " + out, 4},
           {"data import " + text + " --shards llmc --field x -o " + out, 2},
           {"data import " + text + " --shards llmc -o " + out, 4},
           {"data mix " + text + " " + text + " -o " + out, 4}}) {
    INFO(arguments);
    const Outcome outcome = run_program(folder.path(), arguments);
    CAPTURE(outcome.err);
    REQUIRE(outcome.code == code);
    REQUIRE_THAT(outcome.err, !Contains(".tmp"));
    REQUIRE_FALSE(std::filesystem::exists(out));
  }
}

TEST_CASE("worlds leave their truth beside the text, where they have one") {
  const TemporaryFolder folder;
  const std::string tok = (folder.path() / "w.tok").string();
  const Path truth = folder.path() / "w.jsonl";
  const std::string tail = " --tokens 20000 --contexts 16 -o " + tok + " --truth " + truth.string();
  for (const char* world : {"facts", "parity", "addition"}) {
    const Outcome outcome = run_program(folder.path(), std::string("data synth --world ") + world + tail);
    CAPTURE(world, outcome.err);
    REQUIRE(outcome.code == 0);
    std::istringstream lines(read_text(truth));
    int count = 0;
    for (std::string line; std::getline(lines, line); ++count)
      REQUIRE(nlohmann::json::parse(line).is_object());
    REQUIRE(count > 60);
  }
  std::filesystem::remove(truth);
  const Outcome none = run_program(folder.path(), "data synth --world markov" + tail);
  REQUIRE(none.code == 2);
  REQUIRE_THAT(none.err, Contains("no facts"));
  REQUIRE_FALSE(std::filesystem::exists(truth));
}

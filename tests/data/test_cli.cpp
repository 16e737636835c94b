// The verbs `data import` and `data info`, and what every verb says about an input that is not there.
#include <fmt/format.h>

#include <fstream>
#include <nlohmann/json.hpp>

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

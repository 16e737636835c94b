// A small model, trained by the program itself for a second, for tests of the verbs that use one.
#pragma once
#include <fmt/format.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "support/catch.hpp"
#include "support/program.hpp"
#include "support/temporary_folder.hpp"

namespace loglog::testing {

struct TrainedRun {
  TemporaryFolder folder;
  Path run = folder.path() / "run";

  // What the data is: a text, or prompts and completions of documents.
  enum class Data { text, pairs };

  // `sets` are further --set options.
  explicit TrainedRun(const std::string& sets = "", Data data = Data::text) {
    const std::string file = (folder.path() / (data == Data::text ? "text.txt" : "pairs.jsonl")).string();
    std::ofstream text(file);
    for (int i = 0; i < 2500; ++i) {
      text << (data == Data::text
                   ? fmt::format("the cat {} sat on the mat.\n", i % 7)
                   : fmt::format("{{\"p\": \"the cat {}\", \"c\": \" sat on the mat.\"}}\n", i % 7));
    }
    text.close();
    const std::string tokens = (folder.path() / "text.tok").string();
    const char* fields = data == Data::text ? "" : "--prompt-field p --field c --document-end 0";
    const Outcome imported =
        run_program(folder.path(), fmt::format("data import {} -o {} {}", file, tokens, fields));
    INFO(imported.err);
    REQUIRE(imported.code == 0);
    std::ofstream(folder.path() / "c.toml")
        << "[model]\nlayers = 2\nwidth = 32\nheads = 4\ncontext = 32\n[train]\nbatch = 8\n"
           "steps = 150\nlr = 1e-2\n";
    const Outcome trained = run_program(
        folder.path(), fmt::format("train --config {} --out {} --set data.path={} --threads 1 {}",
                                   (folder.path() / "c.toml").string(), run.string(), tokens, sets));
    INFO(trained.err);
    REQUIRE(trained.code == 0);
  }
  Outcome use(const std::string& verb, const std::string& options) const {
    return run_program(folder.path(), verb + " " + run.string() + " " + options);
  }
  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(folder.path() / name) << text;
    return (folder.path() / name).string();
  }
};

// The one that most cases of a program share.
inline const TrainedRun& trained_run() {
  static const TrainedRun trained;
  return trained;
}

inline std::vector<nlohmann::json> json_lines(const std::string& text) {
  std::vector<nlohmann::json> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

}  // namespace loglog::testing

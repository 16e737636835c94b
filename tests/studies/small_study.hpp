// A study at a size that a test can wait for: its manifest and its sweeps with some of their words replaced.
#pragma once
#include <fmt/format.h>

#include <functional>
#include <string>
#include <vector>

#include "kernels/isa.hpp"
#include "studies/built_in.hpp"
#include "studies/studies.hpp"
#include "studies/study.hpp"
#include "support/trained_run.hpp"

namespace loglog::studies {

struct Replacement {
  std::string from, to;
};

// All of them are there.
inline std::string replaced(std::string text, const std::vector<Replacement>& replacements) {
  for (const auto& [from, to] : replacements) {
    const std::size_t at = text.find(from);
    INFO(from);
    REQUIRE(at != std::string::npos);
    text.replace(at, from.size(), to);
  }
  return text;
}

inline Manifest manifest_with(const std::string& study, const std::vector<Replacement>& replacements) {
  const std::string text = replaced(std::string(built_in_config(study)), replacements);
  Manifest m = Manifest::read(study, testing::trained_run().write(study + "-manifest.toml", text));
  m.take_effort("quick");
  return m;
}

// Trains on the text of `data`, in a folder of its own, by the program, what `shrunk` makes of each sweep file.
inline Workplace small_workplace(const testing::TrainedRun& data, const std::string& study,
                                 const std::function<std::string(std::string)>& shrunk) {
  Workplace w;
  w.data = data.folder.path() / "text.tok", w.folder = data.folder.path() / study;
  w.table = &kernels::select_table("auto");
  w.say = [](const std::string&) {};
  w.stop = [] { return false; };
  w.train = [data = w.data, folder = w.folder, shrunk](const Training& t) {
    write_atomically(real_file_system(), t.sweep_file, shrunk(read_text(t.sweep_file)));
    const testing::Outcome run = testing::run_program(
        folder, fmt::format("sweep run {} --store {} --data {}{}{}", t.sweep_file.native(), t.store.native(),
                            (t.data.empty() ? data : t.data).native(),
                            t.arm.empty() ? "" : fmt::format(" --arm {}", t.arm), t.keep ? " --keep" : ""));
    INFO(run.err);
    REQUIRE(run.code == 0);
    return true;
  };
  return w;
}

// What `run` makes of a study there, judged.
inline Result judged_result(const std::string& study, const Manifest& manifest, const Workplace& workplace) {
  const Study& s = find_study(study);
  auto found = s.run(manifest, workplace);
  REQUIRE(found);
  found->study = study, found->title = s.title, found->effort = "quick";
  judge(found->findings, found->controls);
  return std::move(*found);
}

}  // namespace loglog::studies

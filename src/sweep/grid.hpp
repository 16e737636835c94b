// Sweep files: what to train, as a grid or as an IsoFLOP design, with rules in place of numbers.
//
//   name = "demo"
//   extends = "other.toml"               # optional: a sweep file whose keys hold where this one has none
//   kind = "isoflop"                     # or "grid"
//   config = "../models/base.toml"       # optional; [model], [data], [train], [eval] below override it
//   budgets = [1e11, {flops = 3e11, sizes = ["a", "b"]}]      # isoflop: training FLOPs (flops_math)
//   tokens = [1e6, 4e6]                  # grid: training tokens, and / or
//   tokens_per_parameter = [20]          # grid: tokens as a multiple of N
//   seeds = [1, 2]                       # or a rule
//   share_trunks = true                  # optional: shorter runs are forked from the longest of their kind (trunk.hpp)
//   [arm.short]                          # optional: the sweep with other keys, chosen by --arm short
//   tokens = [1e5]  train.warmup = 500  rules.lr = "1e-3"
//   [[size]]
//   name = "a"  layers = 1  width = 32  heads = 2
//   [[variant]]                          # optional: every point is trained in each of them
//   name = "swiglu"  model.mlp = "swiglu"
//   [vary]                               # further axes: names that rules may use
//   x = [0.001, 0.01]
//   [rules]                              # base/expression.hpp
//   batch = "max(1, round(D / 1e5))"     # also lr min_lr warmup decay_share beta2 weight_decay clip
//   lr = "x * (N / 12288)^-0.4"
//   seeds = "1 + 2 * (N < 6e4)"          # seeds 1..value
//   keep = "D / N > 5 and steps >= 500"  # cells for which it is 0 are left out
//   [goal]                               # optional: what the sweep is to find out; sweep design proposes budgets for it
//   quantity = "a"  half_width = 0.03    # of its 95% interval; or "loss" with at = {N = 1e8, D = 2e9}, a share of it
//
// Variables of rules: N (headline count: matrices and head), N_nonemb, N_total, D (tokens), C (FLOPs),
// layers, width, heads, context, vocab, epochs, the names of [vary]; batch and steps once they are known, lr
// for the rules after it. Values are rounded to 4 significant digits, so that the last bit of a machine's
// pow() does not change the identity of a run.
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/expression.hpp"
#include "base/file.hpp"
#include "model/config.hpp"
#include "model/config_value.hpp"
#include "sweep/store.hpp"

namespace loglog::sweep {

struct SizeSpec {
  std::string name;
  model::Index layers;
  model::Index width;
  model::Index heads;
  std::string place;  // file and line, for errors
};

// Keys of the configuration that differ from the sweep's.
struct VariantSpec {
  struct Change {
    std::string key;
    model::ConfigValue value;
    std::string place;  // file and line, for errors
  };
  std::string name;
  std::vector<Change> changes;
};

// A formula of [rules], by the key of [train] that it gives; or "seeds" or "keep".
struct Rule {
  std::string key;
  Expression formula;
  std::string place;  // file, line and key, for errors
};

struct BudgetSpec {
  double flops;
  std::vector<std::string> sizes;  // empty: all
};

// What a sweep is to find out, and what is believed beforehand (design/sweep_design.hpp).
struct Goal {
  std::string quantity;   // a parameter of the law, an exponent of its optimum, or "loss"
  double half_width = 0;  // of its 95% interval; of a loss as a share of it
  std::string law = "chinchilla";
  std::map<std::string, double> at;     // where the loss is wanted, by the law's variables
  std::map<std::string, double> prior;  // constants of the law in place of the stated ones; empty: those
  std::string noise;  // standard deviation of ln loss, a formula in N; empty: the stated one
  std::string place;  // file and line, for errors
};

struct SweepSpec {
  std::string name;
  bool isoflop;
  model::RunConfig base;
  std::vector<SizeSpec> sizes;
  std::vector<VariantSpec> variants;  // empty: as it is
  std::vector<BudgetSpec> budgets;
  std::vector<double> tokens;
  std::vector<double> tokens_per_parameter;
  std::vector<std::int64_t> seeds;
  std::vector<std::pair<std::string, std::vector<double>>> vary;
  std::vector<Rule> rules;  // in the order of their evaluation
  bool share_trunks = false;
  std::optional<Goal> goal;
  std::string text;  // of the file and those that it extends
};

// `name` is the path of the file: relative paths in it start in its folder. UsageError with file, line and key, unknown
// keys included.
// Of an arm, its keys hold where the file has others, and the sweep is called NAME-ARM.
SweepSpec parse_sweep(std::string_view toml, std::string_view name, const std::string& arm = "");
SweepSpec read_sweep(const Path& path, const std::string& arm = "");  // InputError when it cannot be read

// What the expansion needs to know of the token file.
struct DataFacts {
  model::Index vocab;
  std::string checksum;
  double train_tokens;  // targets in one epoch of the training part
};
// As this configuration reads it.
using FactsOf = std::function<DataFacts(const model::RunConfig&)>;

// One run of a sweep, before anything is measured.
struct Cell {
  RunSpec spec;
  model::RunConfig config;  // resolved
  std::string family;       // cells of one family differ in their tokens alone
  double epochs;            // how often it would see its data
  double tokens;            // asked for; spec.d is the nearest multiple of the batch
};

struct Grid {
  std::vector<Cell> cells;
  std::vector<std::string> left_out;  // names of the points for which the keep rule is 0, without their seeds
};

// All runs of the sweep, in the order of the file. UsageError when nothing is left, when two cells are the
// same run, or when a rule gives an impossible value.
Grid expand(const SweepSpec& spec, const FactsOf& facts_of);

}  // namespace loglog::sweep

#include "night/night_files.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace loglog::night {
namespace {

// model/size_rule.hpp, "bytes".
constexpr const char* kRateRule =
    "0.0073 * (N_nonemb / 24576)^-0.21 * (layers / 2)^-0.42 * sqrt(batch * context / 1024) * (D / 4e6)^-0.09";

}  // namespace

std::string base_file(const std::vector<Rung>& ladder, model::Index context, double eval_tokens) {
  std::string text =
      "# What all sweeps of this night share.\n"
      "# layers: transformer blocks; width: channels of the residual stream; heads: attention heads.\n";
  for (const Rung& rung : ladder)
    text += fmt::format("[[size]]\nname = \"{}\"\nlayers = {}\nwidth = {}\nheads = {}\n\n", rung.name,
                        rung.layers, rung.width, rung.heads);
  text += fmt::format(R"toml([rules]
batch = "max(1, round(512 / context * (D / 2.5e6)^0.85))"  # windows
beta2 = "0.99"  # few tokens per step: average the second moment for longer
keep = "epochs <= 1"  # laws of unseen text do not hold for text that repeats

[model]
context = {}  # tokens
bias = false  # no biases in linear layers and norms

[data]
path = "text.tok"  # made by loglog data import

[train]
schedule = "wsd"  # warm-up, stable, decay
decay_share = 0.5  # linearly to zero over the second half
min_lr = 0  # where the decay ends
warmup = 0.07  # share of the run's steps
record_every = 20  # steps between points of the loss curve
checkpoint_every = 1000  # steps that a crash costs at most

[eval]
tokens = {:.0f}  # of the validation part: the same windows for all runs
)toml",
                      context, eval_tokens);
  return text;
}

std::string sweep_file(const SweepRuns& runs) {
  std::string text = fmt::format(
      "# {}\nextends = \"base.toml\"\nname = \"{}\"\nkind = \"isoflop\"\nbudgets = [\n", runs.why, runs.name);
  for (const Budget& b : runs.budgets)
    text += fmt::format("  {{flops = {:.6g}, sizes = [\"{}\"]}},\n", b.flops, fmt::join(b.sizes, "\", \""));
  text += "]\n\n";
  if (!runs.rates.empty())
    text += fmt::format("[vary]\nrate = [{}]  # factors of the rule's learning rate\n\n",
                        fmt::join(runs.rates, ", "));
  const std::string factor = runs.rates.empty() ? fmt::format("{:.4g}", runs.rate) : "rate";
  text += fmt::format("[rules]\nlr = \"{} * {}\"\nseeds = \"{}\"\n", factor, kRateRule, runs.seeds);
  return text;
}

}  // namespace loglog::night

// The ledger against hand formulas, operation by operation, against the model's own tensors, and its sums against the record of
// a real run.
#include "model/count.hpp"

#include <map>

#include "kernels/isa.hpp"
#include "model/gpt.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"
#include "train/small_runs.hpp"
#include "train/trainer.hpp"

using namespace loglog;
using model::Factors;
using model::Operation;

namespace {

struct HandCase {
  model::ModelConfig config;
  std::vector<Operation> operations;
  double n_nonemb, n_matrix, n_total;
  double kaplan, n6d, math, mfu;  // per token
};

// GPT-2's block: C = 64, 4 C in the perceptron, T = 32, V = 100. A token meets 16 keys.
HandCase gpt2_like() {
  HandCase c;
  c.config = {.layers = 2, .width = 64, .heads = 4, .context = 32, .vocab = 100};
  c.operations = {
      {"embedding.token", Factors::none, 1, 100 * 64},
      {"embedding.position", Factors::none, 1, 32 * 64},
      {"attention.norm.gain", Factors::none, 2, 64},
      {"attention.norm.bias", Factors::none, 2, 64},
      {"attention.qkv.weight", Factors::block_weight, 2, 64 * 192, 2 * 64 * 192, 2 * 64 * 192, 2 * 64 * 192},
      {"attention.qkv.bias", Factors::none, 2, 192},
      {"attention.scores", Factors::activations, 2, 0, 2 * 64, 2 * 64, 2 * 64},
      {"attention.mixed", Factors::activations, 2, 0, 2 * 64, 2 * 64, 2 * 64},
      {"attention.out.weight", Factors::block_weight, 2, 64 * 64, 2 * 64 * 64, 2 * 64 * 64, 2 * 64 * 64},
      {"attention.out.bias", Factors::none, 2, 64},
      {"mlp.norm.gain", Factors::none, 2, 64},
      {"mlp.norm.bias", Factors::none, 2, 64},
      {"mlp.up.weight", Factors::block_weight, 2, 64 * 256, 2 * 64 * 256, 2 * 64 * 256, 2 * 64 * 256},
      {"mlp.up.bias", Factors::none, 2, 256},
      {"mlp.down.weight", Factors::block_weight, 2, 256 * 64, 2 * 256 * 64, 2 * 256 * 64, 2 * 256 * 64},
      {"mlp.down.bias", Factors::none, 2, 64},
      {"head.norm.gain", Factors::none, 1, 64},
      {"head.norm.bias", Factors::none, 1, 64},
      {"head.weight", Factors::head_weight, 1, 0, 2 * 100 * 64, 2 * 100 * 64, 2 * 100 * 64},
  };
  c.n_nonemb = 98304;   // 2 (64 192 + 64 64 + 64 256 + 256 64)
  c.n_matrix = 104704;  // 98304 + 100 64
  c.n_total = 108544;   // 104704 + 32 64 + 2 (4 64 + 192 + 64 + 256 + 64) + 2 64
  c.kaplan = 589824;    // 6 98304
  c.n6d = 651264;       // 6 108544
  c.math = 652800;      // 6 104704 + 2 layers, 2 products, 3 passes, 2 64, 16 keys
  c.mfu = 677376;       // the same with 32 keys
  return c;
}

// Llama's block: C = 48 in 6 heads, keys and values of 2 heads (16 wide), a gate beside the way up to 128, T = 20, V = 50, a head
// of its own. A token meets 10 keys.
HandCase llama_like() {
  HandCase c;
  c.config = {.layers = 3, .width = 48, .heads = 6, .kv_heads = 2, .context = 20, .vocab = 50};
  c.config.norm = "rmsnorm", c.config.position = "rope", c.config.mlp = "swiglu", c.config.bias = false;
  c.config.tied = false;
  c.operations = {
      {"embedding.token", Factors::none, 1, 50 * 48},
      {"attention.norm.gain", Factors::none, 3, 48},
      {"attention.qkv.weight", Factors::block_weight, 3, 48 * 80, 2 * 48 * 80, 2 * 48 * 80, 2 * 48 * 80},
      {"attention.scores", Factors::activations, 3, 0, 2 * 48, 2 * 48, 2 * 48},
      {"attention.mixed", Factors::activations, 3, 0, 2 * 48, 2 * 48, 2 * 48},
      {"attention.out.weight", Factors::block_weight, 3, 48 * 48, 2 * 48 * 48, 2 * 48 * 48, 2 * 48 * 48},
      {"mlp.norm.gain", Factors::none, 3, 48},
      {"mlp.gate_up.weight", Factors::block_weight, 3, 48 * 256, 2 * 48 * 256, 2 * 48 * 256, 2 * 48 * 256},
      {"mlp.down.weight", Factors::block_weight, 3, 128 * 48, 2 * 128 * 48, 2 * 128 * 48, 2 * 128 * 48},
      {"head.norm.gain", Factors::none, 1, 48},
      {"head.weight", Factors::head_weight, 1, 50 * 48, 2 * 50 * 48, 2 * 50 * 48, 2 * 50 * 48},
  };
  c.n_nonemb = 73728;  // 3 (48 80 + 48 48 + 48 256 + 128 48)
  c.n_matrix = 76128;  // 73728 + 50 48
  c.n_total = 78864;   // 76128 + 50 48 + 3 (48 + 48) + 48
  c.kaplan = 442368;
  c.n6d = 473184;
  c.math = 474048;  // 6 76128 + 3 layers, 2 products, 3 passes, 2 48, 10 keys
  c.mfu = 491328;   // the same with 20 keys
  return c;
}

// Attention alone, behind a window: C = 40 in 5 heads, T = 30, V = 64. A token meets 8 keys, those of the first 8 tokens half as
// many: (30 8 - 8 8 / 2) / 30 = 208 / 30.
HandCase attention_alone() {
  HandCase c;
  c.config = {.layers = 2, .width = 40, .heads = 5, .context = 30, .vocab = 64, .qk_norm = true};
  c.config.mlp = "none", c.config.position = "none", c.config.mask = "window", c.config.mask_span = 8;
  c.operations = {
      {"embedding.token", Factors::none, 1, 64 * 40},
      {"attention.norm.gain", Factors::none, 2, 40},
      {"attention.norm.bias", Factors::none, 2, 40},
      {"attention.qkv.weight", Factors::block_weight, 2, 40 * 120, 2 * 40 * 120, 2 * 40 * 120, 2 * 40 * 120},
      {"attention.qkv.bias", Factors::none, 2, 120},
      {"attention.q_norm.gain", Factors::none, 2, 8},
      {"attention.k_norm.gain", Factors::none, 2, 8},
      {"attention.scores", Factors::activations, 2, 0, 2 * 40, 2 * 40, 2 * 40},
      {"attention.mixed", Factors::activations, 2, 0, 2 * 40, 2 * 40, 2 * 40},
      {"attention.out.weight", Factors::block_weight, 2, 40 * 40, 2 * 40 * 40, 2 * 40 * 40, 2 * 40 * 40},
      {"attention.out.bias", Factors::none, 2, 40},
      {"head.norm.gain", Factors::none, 1, 40},
      {"head.norm.bias", Factors::none, 1, 40},
      {"head.weight", Factors::head_weight, 1, 0, 2 * 64 * 40, 2 * 64 * 40, 2 * 64 * 40},
  };
  c.n_nonemb = 12800;  // 2 (40 120 + 40 40)
  c.n_matrix = 15360;  // 12800 + 64 40
  c.n_total = 15952;   // 15360 + 2 (2 40 + 120 + 2 8 + 40) + 2 40
  c.kaplan = 76800;
  c.n6d = 95712;
  c.math = 98816;  // 6 15360 + 2 layers, 2 products, 3 passes, 2 40, 208 / 30 keys
  c.mfu = 120960;  // the same with 30 keys
  return c;
}

const HandCase kCases[] = {gpt2_like(), llama_like(), attention_alone()};

// The last event of one step of 2 sequences.
nlohmann::json end_of_run(const model::ModelConfig& config) {
  const TemporaryFolder folder;
  write_small_tokens(folder.path() / "t.tok");
  model::RunConfig run = small_run(folder.path() / "t.tok");
  run.model = config;
  run.train.batch = run.train.micro_batch = 2;
  run.train.steps = 1;
  run.train.checkpoint_every = run.eval.every = 0;
  run.eval.tokens = config.context;
  train::train(run, {.kernels = kernels::select_table("auto"), .threads = 1, .out = folder.path() / "run"});
  return comparable_record(folder.path() / "run").back();
}

}  // namespace

TEST_CASE("the ledger is what hand formulas say, operation by operation") {
  for (const HandCase& c : kCases) {
    INFO("width " << c.config.width);
    const std::vector<Operation> found = model::list_operations(c.config);
    REQUIRE(found.size() == c.operations.size());
    for (std::size_t i = 0; i < found.size(); ++i) {
      const Operation &o = found[i], &by_hand = c.operations[i];
      INFO(by_hand.name);
      CHECK(o.name == by_hand.name);
      CHECK(o.factors == by_hand.factors);
      CHECK(o.times == by_hand.times);
      CHECK(o.parameters == by_hand.parameters);
      CHECK(o.forward == by_hand.forward);
      CHECK(o.d_left == by_hand.d_left);
      CHECK(o.d_right == by_hand.d_right);
    }
  }
}

TEST_CASE("its sums are what hand formulas say, and what the record of a run says") {
  for (const HandCase& c : kCases) {
    INFO("width " << c.config.width);
    const model::ParameterCounts n = model::count_parameters(c.config);
    CHECK(n.n_nonemb == c.n_nonemb);
    CHECK(n.n_matrix == c.n_matrix);
    CHECK(n.n_total == c.n_total);
    const model::FlopCounts flops = model::count_flops_per_token(c.config);
    CHECK(flops.kaplan == c.kaplan);
    CHECK(flops.n6d == c.n6d);
    CHECK(flops.math == c.math);
    CHECK(flops.mfu == c.mfu);

    const nlohmann::json end = end_of_run(c.config);
    const double tokens = 2.0 * double(c.config.context);
    REQUIRE(end.at("event") == "end");
    REQUIRE(end.at("tokens") == tokens);
    CHECK(end.at("flops_kaplan") == tokens * c.kaplan);
    CHECK(end.at("flops_6nd") == tokens * c.n6d);
    CHECK(end.at("flops_math") == tokens * c.math);
    CHECK(end.at("flops_mfu") == tokens * c.mfu);
    CHECK(end.at("n_nonemb") == c.n_nonemb);
    CHECK(end.at("n_matrix") == c.n_matrix);
    CHECK(end.at("n_total") == c.n_total);
  }
}

TEST_CASE("GPT-2 small has the published number of parameters") {
  const model::ModelConfig m{.layers = 12, .width = 768, .heads = 12, .context = 1024, .vocab = 50257};
  CHECK(model::count_parameters(m).n_total == 124439808);  // openai-community/gpt2, tied head counted once
  CHECK(model::count_parameters(m).n_nonemb == 84934656);  // 12 L C^2
  CHECK(model::count_flops_per_token(m).math == 6.0 * (84934656 + 50257 * 768) + 6.0 * 12 * 768 * 1024);
}

TEST_CASE("keys that a token meets, by mask") {
  model::ModelConfig m{.layers = 1, .width = 8, .heads = 1, .context = 32, .vocab = 5};
  CHECK(model::keys_met(m) == 16);
  m.mask_span = 8;
  m.mask = "full";
  CHECK(model::keys_met(m) == 32);
  m.mask = "prefix";  // causal, and the other triangle of the first 8 tokens
  CHECK(model::keys_met(m) == (32 * 32 / 2.0 + 8 * 8 / 2.0) / 32);
  m.mask = "window";
  CHECK(model::keys_met(m) == (32 * 8 - 8 * 8 / 2.0) / 32);
  m.mask_span = 40;  // wider than the context
  CHECK(model::keys_met(m) == 16);
}

TEST_CASE("the ledger's parameters are the tensors of the model, name by name") {
  const bool bias = GENERATE(true, false), tied = GENERATE(true, false);
  model::ModelConfig m{
      .layers = 3, .width = 24, .heads = 2, .context = 10, .vocab = 17, .bias = bias, .tied = tied};
  if (GENERATE(true, false))
    m.norm = "rmsnorm", m.position = "rope", m.mlp = "geglu", m.kv_heads = 1, m.qk_norm = true;
  m.qkv_bias = GENERATE(true, false);
  std::map<std::string, double> of_model, of_ledger;
  const model::Gpt gpt(m, {1, 10});
  for (const model::NamedParameter& p : gpt.parameters()) {
    std::string name = p.name;
    for (const char* block : {"blocks.0.", "blocks.1.", "blocks.2."})
      if (name.starts_with(block)) name.erase(0, std::string(block).size());
    of_model[name] += double(p.tensor.size());
  }
  for (const Operation& o : model::list_operations(m))
    if (o.parameters > 0) of_ledger[o.name] += o.times * o.parameters;
  CHECK(of_ledger == of_model);
}

// Counts against the model itself and against sums written out by hand, operation by operation.
#include "model/count.hpp"

#include "model/gpt.hpp"
#include "support/catch.hpp"

using namespace loglog;

namespace {

// Multiplications and additions per token of one forward pass, one line per product.
struct ForwardFlops {
  double qkv, scores, mixing, out, up, down, head;
};

// scores and mixing: a token meets T keys when counted full, half of them behind the causal mask.
double math_flops(double layers, const ForwardFlops& f) {
  return 3 * (layers * (f.qkv + f.scores / 2 + f.mixing / 2 + f.out + f.up + f.down) + f.head);
}
double mfu_flops(double layers, const ForwardFlops& f) {
  return 3 * (layers * (f.qkv + f.scores + f.mixing + f.out + f.up + f.down) + f.head);
}

}  // namespace

TEST_CASE("operations per token, by hand") {
  struct Case {
    model::ModelConfig config;
    ForwardFlops flops;
    double n_nonemb;
  };
  const Case cases[] = {
      {{.layers = 1, .width = 32, .heads = 2, .context = 128, .vocab = 256},
       {2 * 32 * 96, 2 * 128 * 32, 2 * 128 * 32, 2 * 32 * 32, 2 * 32 * 128, 2 * 128 * 32, 2 * 32 * 256},
       12288},
      {{.layers = 4, .width = 128, .heads = 4, .context = 64, .vocab = 65, .bias = false},
       {2 * 128 * 384, 2 * 64 * 128, 2 * 64 * 128, 2 * 128 * 128, 2 * 128 * 512, 2 * 512 * 128, 2 * 128 * 65},
       786432},
      // GPT-2 small, Radford et al. 2019
      {{.layers = 12, .width = 768, .heads = 12, .context = 1024, .vocab = 50257},
       {2. * 768 * 2304, 2. * 1024 * 768, 2. * 1024 * 768, 2. * 768 * 768, 2. * 768 * 3072, 2. * 3072 * 768,
        2. * 768 * 50257},
       84934656},
  };
  for (const Case& c : cases) {
    INFO("width " << c.config.width);
    const model::FlopCounts flops = model::count_flops_per_token(c.config);
    const double layers = double(c.config.layers);
    CHECK(flops.math == math_flops(layers, c.flops));
    CHECK(flops.mfu == mfu_flops(layers, c.flops));
    CHECK(flops.kaplan == 6 * c.n_nonemb);
    CHECK(model::count_parameters(c.config).n_nonemb == c.n_nonemb);
  }
}

TEST_CASE("GPT-2 small has the published number of parameters") {
  const model::ModelConfig m{.layers = 12, .width = 768, .heads = 12, .context = 1024, .vocab = 50257};
  CHECK(model::count_parameters(m).n_total == 124439808);  // openai-community/gpt2, tied head counted once
}

TEST_CASE("operations per token of other blocks, by hand") {
  // Llama's: keys and values of one head of 16, a gate beside the way up.
  model::ModelConfig m{.layers = 2, .width = 64, .heads = 4, .kv_heads = 1, .context = 32, .vocab = 100};
  m.norm = "rmsnorm", m.position = "rope", m.mlp = "swiglu", m.mlp_width = 176, m.bias = false,
  m.tied = false;
  const double matrices = 64. * (64 + 2 * 16) + 64. * 64 + 64. * (2 * 176) + 176. * 64;
  CHECK(model::count_parameters(m).n_nonemb == 2 * matrices);
  CHECK(model::count_parameters(m).n_total == 2 * matrices + 2 * 100 * 64 + 5 * 64);
  CHECK(model::count_flops_per_token(m).math == 6 * (2 * matrices + 100 * 64) + 2 * 12. * 64 * 16);
  CHECK(model::count_flops_per_token(m).mfu == 6 * (2 * matrices + 100 * 64) + 2 * 12. * 64 * 32);

  // Attention alone, behind a window: a token meets 8 keys, one of the first eight as many as there are.
  m.mlp = "none", m.mlp_width = 0, m.kv_heads = 0, m.mask = "window", m.mask_span = 8;
  CHECK(model::count_parameters(m).n_nonemb == 2 * (4. * 64 * 64));
  const double pairs = (32 * 8 - 8 * 8 / 2.0) / 32;
  CHECK(model::count_flops_per_token(m).math == 6 * (2 * 4. * 64 * 64 + 100 * 64) + 2 * 12 * 64 * pairs);
  m.mask = "prefix";
  CHECK(model::count_flops_per_token(m).math ==
        6 * (2 * 4. * 64 * 64 + 100 * 64) + 2 * 12 * 64 * (32 * 32 / 2.0 + 8 * 8 / 2.0) / 32);
}

TEST_CASE("counts equal the tensors of the model") {
  const bool bias = GENERATE(true, false), tied = GENERATE(true, false);
  model::ModelConfig m{
      .layers = 3, .width = 24, .heads = 2, .context = 10, .vocab = 17, .bias = bias, .tied = tied};
  if (GENERATE(true, false))
    m.norm = "rmsnorm", m.position = "rope", m.mlp = "geglu", m.kv_heads = 1, m.qk_norm = true;
  m.qkv_bias = GENERATE(true, false);
  const model::Gpt gpt(m, {1, 10});
  double total = 0, block_matrices = 0;
  for (const model::NamedParameter& p : gpt.parameters()) {
    total += double(p.tensor.size());
    if (p.name.starts_with("blocks.") && p.tensor.rows > 1) block_matrices += double(p.tensor.size());
  }
  const model::ParameterCounts n = model::count_parameters(m);
  CHECK(n.n_total == total);
  CHECK(n.n_nonemb == block_matrices);
  CHECK(n.n_matrix == block_matrices + 17 * 24);  // the head multiplies whether or not it has its own weight
  CHECK(model::count_flops_per_token(m).n6d == 6 * total);
}

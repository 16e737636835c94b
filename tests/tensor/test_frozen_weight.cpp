// Weights in forms other than float32: where a model takes them in place of its own, and what it then no longer has.
#include "tensor/frozen_weight.hpp"

#include "base/check.hpp"
#include "kernels/isa.hpp"
#include "model/open_model.hpp"
#include "support/small_models.hpp"

using namespace loglog;
using namespace loglog::testing;

namespace {

// Float32 all the same, so that results can be told to the last bit. A table is kept as it is and multiplied with its transpose.
class Copied final : public tensor::FrozenWeight {
 public:
  Copied(std::vector<float> values, Index rows, Index cols, bool is_table)
      : values_(std::move(values)), w_(values_.data(), rows, cols), is_table_(is_table) {}
  void multiply(kernels::ExecContext& ctx, const tensor::FloatView& out, const tensor::ConstFloatView& in,
                const kernels::GemmEpilogue& epilogue) const override {
    ++products;
    kernels::gemm(ctx, in.as<float>(), is_table_ ? w_.transposed() : w_, out.as<float>(),
                  kernels::Accumulate::no, epilogue);
  }
  void copy_row(float* out, Index row) const override {
    if (!is_table_) return FrozenWeight::copy_row(out, row);
    std::copy_n(w_.row(row), w_.cols, out);
  }
  std::size_t scratch_bytes(const kernels::KernelTable& table, int threads, Index rows) const override {
    return kernels::gemm_scratch_bytes(table, threads, rows, is_table_ ? w_.rows : w_.cols,
                                       is_table_ ? w_.cols : w_.rows);
  }
  std::size_t bytes() const override { return values_.size() * sizeof(float) + 1; }
  mutable int products = 0;

 private:
  std::vector<float> values_;
  kernels::ConstMatrixRef w_;
  bool is_table_;
};

class Values final : public model::ParameterSource {
 public:
  explicit Values(const model::Gpt& gpt) : gpt_(gpt) {}
  void read(std::string_view name, std::span<float> out) const override {
    asked.emplace_back(name);
    for (const model::NamedParameter& p : gpt_.parameters())
      if (p.name == name) std::copy_n(p.tensor.value, out.size(), out.begin());
  }
  mutable std::vector<std::string> asked;

 private:
  const model::Gpt& gpt_;
};

bool is_table(std::string_view name) {
  return name == "embedding.token" || name == "head.weight";
}

// Every matrix of `trained` but positions, as frozen weights; those made are kept by name.
using Made = std::map<std::string, std::shared_ptr<const Copied>, std::less<>>;
model::Freeze freeze_matrices(const SmallModel& trained, Made& made) {
  return [&](std::string_view name, Index rows, Index cols) -> std::shared_ptr<const tensor::FrozenWeight> {
    if (rows == 1 || name == "embedding.position") return nullptr;
    for (const model::NamedParameter& p : trained.gpt.parameters()) {
      if (p.name != name) continue;
      auto copy = std::make_shared<const Copied>(
          std::vector<float>(p.tensor.value, p.tensor.value + p.tensor.size()), rows, cols, is_table(name));
      made.emplace(name, copy);
      return copy;
    }
    throw std::logic_error("no such parameter");
  };
}

model::ModelConfig config(bool tied) {
  model::ModelConfig m{.layers = 2, .width = 16, .heads = 2, .context = 7, .vocab = 11};
  m.tied = tied;
  if (!tied) m.norm = "rmsnorm", m.position = "rope", m.mlp = "swiglu", m.bias = false, m.kv_heads = 1;
  return m;
}

}  // namespace

TEST_CASE("a model takes frozen weights in place of its own, with the same bits where they are the same") {
  for (const bool tied : {true, false}) {
    CAPTURE(tied);
    const model::ModelConfig m = config(tied);
    SmallModel trained(m, {3, 7}, kernels::select_table("auto"));
    trained.forward();
    Made made;
    model::Gpt gpt(m, {3, 7}, nn::Products(), model::Purpose::inference, freeze_matrices(trained, made));
    const Values values(trained.gpt);
    model::load_parameters(values, gpt);
    kernels::Scratch scratch(gpt.scratch_bytes(trained.ctx.kernels, 1));
    kernels::ExecContext ctx{trained.ctx.kernels, 1, scratch};
    std::vector<float> losses(21);
    gpt.forward(ctx, 3, trained.tokens.data(), trained.targets.data(), losses.data());
    CHECK(compare_equal(losses, trained.losses));
    for (const auto& [name, weight] : made) {
      INFO(name);
      // An embedding with a head of its own is only looked up.
      CHECK((weight->products > 0) == (tied || name != "embedding.token"));
    }

    // They are neither parameters, nor read, nor part of the room for float32.
    CHECK(made.size() == (tied ? 9u : 10u));
    for (const model::NamedParameter& p : gpt.parameters()) CHECK_FALSE(made.contains(p.name));
    CHECK(gpt.parameters().size() + made.size() == trained.gpt.parameters().size());
    CHECK(values.asked.size() == gpt.parameters().size());
    std::size_t frozen = 0;
    for (const auto& [name, weight] : made) frozen += weight->bytes();
    Made again;
    const model::MemoryPlan plan = model::Gpt::plan(
        m, {3, 7}, {}, trained.ctx.kernels, 1, model::Purpose::inference, freeze_matrices(trained, again));
    CHECK(plan.frozen == frozen);
    CHECK(plan.parameters == gpt.values().size_bytes());
    CHECK(plan.scratch == scratch.capacity());
    CHECK(plan.total() == plan.parameters + frozen + plan.packed + plan.activations + plan.scratch);
  }
}

TEST_CASE("a weight that is frozen is not packed besides") {
  const model::ModelConfig m = config(true);
  SmallModel trained(m, {3, 7}, kernels::select_table("auto"));
  Made made;
  const auto packed = [&](const model::Freeze& freeze) {
    return model::Gpt::plan(m, {3, 7}, kernels::FloatType::bfloat16, trained.ctx.kernels, 1,
                            model::Purpose::inference, freeze)
        .packed;
  };
  CHECK(packed({}) > 0);
  CHECK(packed(freeze_matrices(trained, made)) == 0);
}

TEST_CASE("what cannot be: frozen weights that train, a token that is none, a row of what is no table") {
  const model::ModelConfig m = config(true);
  SmallModel trained(m, {3, 7}, kernels::select_table("auto"));
  Made made;
  const model::Freeze freeze = freeze_matrices(trained, made);
  for (const auto purpose : {model::Purpose::training, model::Purpose::recomputing})
    CHECK_THROWS_AS(model::Gpt(m, {3, 7}, nn::Products(), purpose, freeze), ContractError);
  made.clear();
  model::Gpt gpt(m, {3, 7}, nn::Products(), model::Purpose::inference, freeze);
  model::load_parameters(Values(trained.gpt), gpt);
  kernels::Scratch scratch(gpt.scratch_bytes(trained.ctx.kernels, 1));
  kernels::ExecContext ctx{trained.ctx.kernels, 1, scratch};
  std::vector<float> losses(21);
  for (const std::int32_t token : {-1, 11}) {
    trained.tokens[20] = token;
    CHECK_THROWS_AS(gpt.forward(ctx, 3, trained.tokens.data(), trained.targets.data(), losses.data()),
                    ContractError);
  }
  std::vector<float> row(16);
  CHECK_THROWS_AS(made.at("blocks.0.attention.out.weight")->copy_row(row.data(), 0), ContractError);
}

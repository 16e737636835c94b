// GGUF files as a reader of the format sees them; what llama.cpp asks of each architecture.
#include "formats/gguf.hpp"

#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "data/bpe_train.hpp"
#include "data/text_codec.hpp"
#include "formats/foreign_models.hpp"
#include "io/gguf_reader.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using namespace loglog::formats;
using namespace loglog::testing;
using Catch::Contains;

namespace {

struct Exported {
  std::unique_ptr<model::Gpt> gpt;
  GgufExport done;
  GgufFile file;
};

Exported exported(const model::ModelConfig& m, const data::TextCodec* codec = nullptr,
                  io::Dtype dtype = io::Dtype::f32) {
  const TemporaryFolder folder;
  auto gpt = filled_gpt(m);
  GgufExport done = export_gguf(real_file_system(), folder.path() / "x.gguf", *gpt, codec, dtype);
  return {std::move(gpt), std::move(done), GgufFile(read_text(folder.path() / "x.gguf"))};
}

}  // namespace

TEST_CASE("a GPT-2 in GGUF") {
  const Exported e = exported(small_gpt2());
  CHECK(e.done.architecture == "gpt2");
  CHECK_THAT(e.done.notices.at(0), Contains("token ids"));
  CHECK(e.file.text("general.architecture") == "gpt2");
  CHECK(e.file.text("tokenizer.ggml.model") == "none");
  CHECK(e.file.number("gpt2.vocab_size") == 11);
  CHECK(e.file.number("gpt2.context_length") == 7);
  CHECK(e.file.number("gpt2.embedding_length") == 12);
  CHECK(e.file.number("gpt2.block_count") == 2);
  CHECK(e.file.number("gpt2.feed_forward_length") == 48);
  CHECK(e.file.number("gpt2.attention.head_count") == 3);
  CHECK(e.file.number("gpt2.attention.layer_norm_epsilon") == 1e-5f);
  CHECK_FALSE(e.file.tensors().contains("output.weight"));
  const GgufFile::Tensor& up = e.file.tensors().at("blk.1.ffn_up.weight");
  CHECK(up.dimensions == std::vector<std::uint64_t>{12, 48});  // neighbours first: rows of 12
  const tensor::Parameter& ours = parameter(*e.gpt, "blocks.1.mlp.up.weight");
  CHECK(up.values[5 * 12 + 7] == ours.value[7 * 48 + 5]);
  CHECK(e.file.tensors().at("position_embd.weight").values[12] ==
        parameter(*e.gpt, "embedding.position").value[12]);
  CHECK(e.file.tensors().size() == 2 + 2 * 12 + 2);
}

TEST_CASE("a GPT-NeoX in GGUF: its head is always there, queries, keys and values are in order") {
  model::ModelConfig m = small_neox();
  m.tied = GENERATE(true, false);
  const Exported e = exported(m);
  CHECK(e.done.architecture == "gptneox");
  CHECK_THAT(e.done.notices.back(), Contains("tanh"));
  CHECK(e.file.number("gptneox.rope.dimension_count") == 2);
  CHECK(e.file.number("gptneox.use_parallel_residual") == 1);
  CHECK(e.file.tensors().at("output.weight").values[13] ==
        parameter(*e.gpt, m.tied ? "embedding.token" : "head.weight").value[13]);
  CHECK(e.file.tensors().at("blk.0.attn_qkv.bias").values[17] ==
        parameter(*e.gpt, "blocks.0.attention.qkv.bias").value[17]);
}

TEST_CASE("Llama and Qwen2 in GGUF: only the first has the pairs of its heads side by side") {
  const bool is_llama = GENERATE(true, false);
  const Exported e = exported(is_llama ? small_llama() : small_qwen2());
  const std::string a = is_llama ? "llama" : "qwen2";
  CHECK(e.done.architecture == a);
  CHECK(e.file.number(a + ".attention.head_count_kv") == 2);
  CHECK(e.file.number(a + ".attention.layer_norm_rms_epsilon") == 1e-5f);
  CHECK(e.file.number(a + ".rope.freq_base") == 10000);
  CHECK(e.file.tensors().contains("output.weight") == is_llama);
  CHECK(e.file.tensors().contains("blk.0.attn_q.bias") == !is_llama);
  // Head 1 of the keys (columns 16 + 4..7 of ours): element 2 turns with element 0, there it is the second row.
  const tensor::Parameter& qkv = parameter(*e.gpt, "blocks.1.attention.qkv.weight");
  const GgufFile::Tensor& keys = e.file.tensors().at("blk.1.attn_k.weight");
  CHECK(keys.dimensions == std::vector<std::uint64_t>{16, 8});
  const Index row = is_llama ? 5 : 6;
  CHECK(keys.values[static_cast<std::size_t>(row * 16 + 3)] == qkv.value[3 * 32 + 16 + 6]);
}

TEST_CASE("in f16 matrices are halves, vectors and positions are not") {
  const Exported e = exported(small_gpt2(), nullptr, io::Dtype::f16);
  CHECK(e.file.number("general.file_type") == 1);
  CHECK(e.file.tensors().at("token_embd.weight").type == 1);
  CHECK(e.file.tensors().at("position_embd.weight").type == 0);
  CHECK(e.file.tensors().at("blk.0.ffn_up.bias").type == 0);
  const TemporaryFolder folder;
  const auto gpt = filled_gpt(small_gpt2());
  parameter(*gpt, "blocks.1.mlp.down.weight").value[3] = 70000.0f;
  const auto write = [&](io::Dtype dtype) {
    export_gguf(real_file_system(), folder.path() / "x.gguf", *gpt, nullptr, dtype);
  };
  CHECK_THROWS_WITH(write(io::Dtype::f16), Contains("'blocks.1.mlp.down.weight'") && Contains("65504"));
  CHECK_FALSE(path_exists(folder.path() / "x.gguf"));
  CHECK_NOTHROW(write(io::Dtype::f32));
}

TEST_CASE("a BPE vocabulary goes into the file, padded to the model's") {
  data::BpeTrainer trainer;
  trainer.add("the cat and the hat and the bat sat and the rat and the mat");
  trainer.finish_text();
  const auto codec = data::make_bpe_codec(*trainer.train(260));
  model::ModelConfig m = small_gpt2();
  m.vocab = 262;
  const Exported e = exported(m, codec.get());
  CHECK(e.done.notices.empty());
  CHECK(e.file.text("tokenizer.ggml.model") == "gpt2");
  const std::vector<std::string>& tokens = e.file.texts("tokenizer.ggml.tokens");
  REQUIRE(tokens.size() == 262);
  CHECK(tokens['t'] == "t");
  CHECK(tokens[' '] == "\u0120");  // GPT-2's character for a space
  CHECK(tokens[261] == "[PAD261]");
  CHECK(e.file.numbers("tokenizer.ggml.token_type").at(259) == 1);
  CHECK(e.file.numbers("tokenizer.ggml.token_type").at(260) == 5);
  CHECK(e.file.texts("tokenizer.ggml.merges").size() == 4);
}

TEST_CASE("models that llama.cpp does not know") {
  CHECK_THROWS_AS(exported(small_opt()), UsageError);
  CHECK_THROWS_WITH(exported(small_opt()), Contains("llama.cpp has no architecture") &&
                                               Contains("gpt2: model.mlp is relu, there it is gelu") &&
                                               Contains("llama: "));
  model::ModelConfig m = small_llama();
  m.mlp = "geglu";
  CHECK_THROWS_WITH(exported(m), Contains("llama: model.mlp is geglu, there it is swiglu"));
}

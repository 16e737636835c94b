// Folders of Hugging Face: out and in again bit for bit, and whatever is wrong with one named by file and tensor.
#include "formats/hf.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "data/bpe_train.hpp"
#include "data/text_codec.hpp"
#include "formats/foreign_models.hpp"
#include "io/safetensors.hpp"
#include "support/catch.hpp"
#include "support/changed_bytes.hpp"
#include "support/compare.hpp"
#include "support/faulty_file_system.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using namespace loglog::formats;
using namespace loglog::testing;
using Catch::Contains;

namespace {

FileSystem& fs() {
  return real_file_system();
}

// A folder with a small model in it, whose tensors can be changed.
class HfFolder {
 public:
  explicit HfFolder(const model::ModelConfig& m) : gpt_(filled_gpt(m)) {
    export_hf(fs(), path(), *gpt_, nullptr, {});
  }
  Path path() const { return folder_.path() / "model"; }
  const model::Gpt& gpt() const { return *gpt_; }

  // Writes the tensors again, after change(list of them).
  template <class Change>
  void rewrite(Change&& change) const {
    std::vector<io::TensorValues> list;
    std::vector<std::vector<float>> values;
    {
      const io::SafetensorsFile file(path() / "model.safetensors");
      for (const io::TensorEntry& entry : file.tensors()) {
        file.read(entry, values.emplace_back(entry.elements()));
        list.push_back({entry.name, entry.shape, values.back()});
      }
    }
    change(list);
    io::write_safetensors(fs(), path() / "model.safetensors", list, {});
  }
  template <class Change>
  void edit_config(Change&& change) const {
    nlohmann::ordered_json config = nlohmann::ordered_json::parse(read_text(path() / "config.json"));
    change(config);
    write_atomically(fs(), path() / "config.json", config.dump());
  }

 private:
  TemporaryFolder folder_;
  std::unique_ptr<model::Gpt> gpt_;
};

}  // namespace

TEST_CASE("a model that goes out comes in with the same configuration and the same bits") {
  const auto& [type, config] = GENERATE(std::pair<const char*, model::ModelConfig>{"gpt2", small_gpt2()},
                                        std::pair<const char*, model::ModelConfig>{"opt", small_opt()},
                                        std::pair<const char*, model::ModelConfig>{"gpt_neox", small_neox()},
                                        std::pair<const char*, model::ModelConfig>{"llama", small_llama()},
                                        std::pair<const char*, model::ModelConfig>{"mistral", small_llama()},
                                        std::pair<const char*, model::ModelConfig>{"qwen2", small_qwen2()});
  const std::uint64_t shard_bytes = GENERATE(5'000'000'000u, 3000u);
  CAPTURE(type, shard_bytes);
  const TemporaryFolder folder;
  const Path out = folder.path() / "hf";
  const auto gpt = filled_gpt(config);
  const HfExport done =
      export_hf(fs(), out, *gpt, nullptr, {.architecture = type, .shard_bytes = shard_bytes});
  CHECK(done.architecture == type);
  CHECK((done.files.size() > 2) == (shard_bytes == 3000));
  CHECK(path_exists(out / "model.safetensors.index.json") == (shard_bytes == 3000));
  for (const std::string& name : done.files) CHECK(path_exists(out / name));
  const ImportedModel back = import_hf(out);
  model::ModelConfig expected = gpt->config();
  if (expected.norm == "rmsnorm") expected.kv_heads = expected.key_heads();
  CHECK(back.config.model == expected);
  CHECK(compare_equal(values_of(*back.gpt), values_of(*gpt)));
  REQUIRE(back.notices.size() == 1);
  CHECK_THAT(back.notices[0], Contains("token ids"));
}

TEST_CASE("rows of every parameter come as they are read whole; those of a table in pieces") {
  for (const model::ModelConfig& config : {small_gpt2(), small_opt(), small_neox(), small_llama()}) {
    const TemporaryFolder folder;
    export_hf(fs(), folder.path() / "hf", *filled_gpt(config), nullptr, {});
    const OpenedHf opened = open_hf(folder.path() / "hf");
    for (const model::ParameterShape& p : model::parameter_shapes(opened.model.config.model)) {
      CAPTURE(p.name);
      std::vector<float> expected(static_cast<std::size_t>(p.rows * p.cols)), values;
      opened.model.parameters->read(p.name, expected);
      int pieces = 0;
      opened.model.parameters->each_rows(p.name, p.rows, p.cols, 2, [&](Index, kernels::ConstMatrixRef part) {
        for (Index i = 0; i < part.rows; ++i)
          values.insert(values.end(), part.row(i), part.row(i) + part.cols);
        ++pieces;
      });
      CHECK(values == expected);
      if (p.name == "embedding.token" || p.name == "head.weight") CHECK(pieces == (p.rows + 1) / 2);
    }
  }
}

TEST_CASE("in bfloat16 a model comes in rounded") {
  const TemporaryFolder folder;
  const auto gpt = filled_gpt(small_gpt2());
  export_hf(fs(), folder.path() / "hf", *gpt, nullptr, {.dtype = io::Dtype::bf16});
  CHECK_THAT(read_text(folder.path() / "hf/config.json"), Contains("\"torch_dtype\": \"bfloat16\""));
  const ImportedModel back = import_hf(folder.path() / "hf");
  const std::vector<float> exact = values_of(*gpt), rounded = values_of(*back.gpt);
  CHECK_FALSE(compare_equal(rounded, exact).passed);
  CHECK(compare(static_cast<std::int64_t>(exact.size()), [&](std::int64_t i) {
    const double x = exact[static_cast<std::size_t>(i)];
    return Element{rounded[static_cast<std::size_t>(i)], x, 0x1p-8 * std::abs(x)};
  }));
}

TEST_CASE(
    "the first architecture that can say a model is taken, and one that cannot is refused with its reason") {
  const TemporaryFolder folder;
  const auto type_of = [&](const model::ModelConfig& m, const std::string& wanted) {
    return export_hf(fs(), folder.path() / "hf", *filled_gpt(m), nullptr, {.architecture = wanted})
        .architecture;
  };
  CHECK(type_of(small_gpt2(), "") == "gpt2");
  CHECK(type_of(small_gpt2(), "opt") == "opt");
  CHECK(type_of(small_neox(), "") == "gpt_neox");
  CHECK(type_of(small_qwen2(), "") == "qwen2");
  CHECK_THROWS_WITH(type_of(small_llama(), "gpt2"),
                    Contains("no form in gpt2") && Contains("model.norm is rmsnorm"));
  CHECK_THROWS_WITH(type_of(small_gpt2(), "gpt3"), Contains("architecture 'gpt3'") && Contains("gpt2"));
  model::ModelConfig m = small_gpt2();
  m.qk_norm = true;
  CHECK_THROWS_AS(type_of(m, ""), UsageError);
  CHECK_THROWS_WITH(type_of(m, ""), Contains("gpt2: model.qk_norm is true") && Contains("llama: "));
}

TEST_CASE("files of the bare model, and buffers that hold no parameter") {
  const HfFolder folder(small_gpt2());
  const std::vector<float> mask(49, 1.0f);
  folder.rewrite([&](std::vector<io::TensorValues>& list) {
    for (io::TensorValues& t : list) t.name = t.name.substr(std::string("transformer.").size());
    list.push_back({"h.0.attn.bias", {1, 1, 7, 7}, mask});
  });
  CHECK(compare_equal(values_of(*import_hf(folder.path()).gpt), values_of(folder.gpt())));
}

TEST_CASE("tensors that are missing, left over or of another shape are named") {
  const HfFolder folder(small_gpt2());
  const auto refuses = [&](const char* what) {
    CHECK_THROWS_WITH(import_hf(folder.path()), Contains(what) && Contains("model"));
    CHECK_THROWS_AS(import_hf(folder.path()), InputError);
  };
  std::vector<float> more(12, 1.0f);
  folder.rewrite([&](std::vector<io::TensorValues>& list) {
    list.push_back({"transformer.h.2.ln_1.weight", {12}, more});
  });
  refuses("tensor 'transformer.h.2.ln_1.weight' is none of a gpt2 model");
  folder.rewrite([](std::vector<io::TensorValues>& list) { list.back().name = "transformer.surplus"; });
  refuses("'transformer.surplus'");
  folder.rewrite([](std::vector<io::TensorValues>& list) {
    std::erase_if(list, [](const auto& t) {
      return t.name.ends_with("surplus") || t.name.ends_with("h.1.mlp.c_fc.bias");
    });
  });
  refuses("tensor 'transformer.h.1.mlp.c_fc.bias' is missing");
  folder.edit_config([](auto& config) { config["n_inner"] = 40; });
  refuses("is [12,48], config.json asks for [12,40]");
}

// What a file claims takes no memory before its tensors are there.
TEST_CASE("a configuration of a huge model without its tensors") {
  const HfFolder folder(small_gpt2());
  folder.edit_config(
      [](auto& config) { config["n_embd"] = 65536, config["n_head"] = 1, config["n_layer"] = 1024; });
  CHECK_THROWS_WITH(import_hf(folder.path()), Contains("asks for [11,65536]"));
}

TEST_CASE("a head that is said to be the embedding must be it") {
  const HfFolder folder(small_gpt2());
  std::vector<float> head;
  const auto add_head = [&](auto change) {
    folder.rewrite([&](std::vector<io::TensorValues>& list) {
      std::erase_if(list, [](const auto& t) { return t.name == "lm_head.weight"; });
      for (const io::TensorValues& t : list)
        if (t.name == "transformer.wte.weight") head.assign(t.values.begin(), t.values.end());
      change(head);
      list.push_back({"lm_head.weight", {head.size() / 12, 12}, head});
    });
  };
  add_head([](auto&) {});
  CHECK(compare_equal(values_of(*import_hf(folder.path()).gpt), values_of(folder.gpt())));
  add_head([](auto& x) { x[100] += 1.0f; });
  CHECK_THROWS_WITH(import_hf(folder.path()), Contains("tensor 'lm_head.weight' is not the embedding"));
  add_head([](auto& x) { x.resize(24); });
  CHECK_THROWS_WITH(import_hf(folder.path()), Contains("tensor 'lm_head.weight' is not the embedding"));
}

TEST_CASE("configurations that are refused as a whole") {
  const HfFolder folder(small_gpt2());
  const auto refuses = [&](const char* key, const nlohmann::ordered_json& value, const char* what) {
    nlohmann::ordered_json before;
    folder.edit_config([&](auto& config) { before = config, config[key] = value; });
    CHECK_THROWS_WITH(import_hf(folder.path()), Contains(fmt::format("key '{}'", key)) && Contains(what));
    folder.edit_config([&](auto& config) { config = before; });
  };
  refuses("model_type", "bert", "'bert' is not covered; known: gpt2, opt, gpt_neox, llama");
  refuses("quantization_config", {{"bits", 4}}, "quantised");
  refuses("n_head", 5, "5 heads do not divide a width of 12");
  refuses("tie_word_embeddings", 1, "neither true nor false");
  std::filesystem::remove(folder.path() / "model.safetensors");
  write_atomically(fs(), folder.path() / "pytorch_model.bin", std::string_view("x"));
  CHECK_THROWS_WITH(import_hf(folder.path()), Contains("'pytorch_model.bin' is a pickle"));
}

TEST_CASE("an export whose k-th file system call fails leaves nothing, or the whole folder") {
  const auto gpt = filled_gpt(small_gpt2());
  for (const bool is_there : {false, true}) {
    CAPTURE(is_there);
    const TemporaryFolder folder;
    const Path out = folder.path() / "hf";
    int failures = 0;
    for (int k = 0;; ++k, ++failures) {
      CAPTURE(k);
      if (is_there) std::filesystem::create_directories(out);
      FailingFileSystem failing(k);
      try {
        export_hf(failing, out, *gpt, nullptr, {.shard_bytes = 3000});
      } catch (const IoError&) {
      }
      const std::size_t found = path_exists(out) ? list_directory(out).size() : 0;
      if (found > 0) CHECK(compare_equal(values_of(*import_hf(out).gpt), values_of(*gpt)));
      REQUIRE(list_directory(folder.path()).size() == std::size_t(path_exists(out)));
      std::filesystem::remove_all(out);
      if (!failing.failed()) break;
    }
    CHECK(failures > 30);
  }
}

TEST_CASE("values that are not finite are told, and the model is refused before memory is taken for it") {
  const HfFolder folder(small_gpt2());
  std::vector<float> bad(12, 1.0f);
  bad[3] = std::numeric_limits<float>::quiet_NaN(), bad[5] = -std::numeric_limits<float>::infinity();
  folder.rewrite([&](std::vector<io::TensorValues>& list) {
    for (io::TensorValues& t : list)
      if (t.name == "transformer.h.1.ln_1.weight") t.values = bad;
  });
  CHECK_THAT(import_hf(folder.path()).notices.at(0),
             Contains("2 values are not finite, the first in 'blocks.1.attention.norm.gain'"));
  Index width = 0;
  const auto refuse = [&](const model::ModelConfig& m) {
    width = m.width;
    throw RefusedError("too large");
  };
  CHECK_THROWS_AS(import_hf(folder.path(), refuse), RefusedError);
  CHECK(width == 12);
  CHECK(holder_bytes(small_gpt2()) > 2 * 12 * 12 * 12 * sizeof(float));
}

TEST_CASE("a pipe or a device in the place of a file is refused, and not waited for") {
  const HfFolder folder(small_gpt2());
  for (const char* name : {"config.json", "tokenizer.json"}) {
    const Path path = folder.path() / name;
    const std::string before = path_exists(path) ? read_text(path) : "";
    std::filesystem::remove(path);
    REQUIRE(::mkfifo(path.c_str(), 0644) == 0);
    INFO(name);
    if (before.empty())
      CHECK_THAT(import_hf(folder.path()).notices.at(0), Contains("tokenizer left out") && Contains("pipe"));
    else
      CHECK_THROWS_WITH(import_hf(folder.path()), Contains("pipe"));
    std::filesystem::remove(path);
    std::filesystem::create_symlink(path, path);  // to itself
    if (before.empty())
      CHECK_THAT(import_hf(folder.path()).notices.at(0), Contains("tokenizer.json"));
    else
      CHECK_THROWS_AS(import_hf(folder.path()), InputError);
    std::filesystem::remove(path);
    if (!before.empty()) write_atomically(fs(), path, before);
  }
  std::filesystem::remove(folder.path() / "model.safetensors");
  std::filesystem::create_symlink("model.safetensors", folder.path() / "model.safetensors");
  CHECK_THROWS_AS(import_hf(folder.path()), InputError);
}

TEST_CASE("3,000 changed configurations, and as many indices of shards: an InputError, or a model") {
  const TemporaryFolder folder;
  const Path path = folder.path() / "model";
  export_hf(fs(), path, *filled_gpt(small_neox()), nullptr, {.shard_bytes = 4000});
  for (const char* name : {"config.json", "model.safetensors.index.json"}) {
    const std::string good = read_text(path / name);
    int refused = 0;
    for (std::uint64_t round = 0; round < 3'000; ++round) {
      write_bytes(path / name, changed_bytes(good, round));
      try {
        const ImportedModel model = import_hf(path);
        REQUIRE(model.gpt != nullptr);
      } catch (const InputError&) {
        ++refused;
      }
    }
    CHECK(refused > 1000);
    CHECK(refused < 3'000);
    write_bytes(path / name, good);
  }
}

TEST_CASE("a byte-level tokenizer goes with its model both ways; another stays behind with a notice") {
  data::BpeTrainer trainer;
  trainer.add("the cat and the hat and the bat sat and the rat and the mat");
  trainer.finish_text();
  const auto codec = data::make_bpe_codec(*trainer.train(260));
  const TemporaryFolder folder;
  model::ModelConfig m = small_gpt2();
  m.vocab = 270;
  const Path with = folder.path() / "with", without = folder.path() / "without";
  const HfExport done = export_hf(fs(), with, *filled_gpt(m), codec.get(), {});
  CHECK(done.notices.empty());
  const ImportedModel back = import_hf(with);
  CHECK(back.notices.empty());
  CHECK(back.tokenizer == codec->description().dump());

  CHECK_THAT(export_hf(fs(), without, *filled_gpt(m), data::make_bytes_codec().get(), {}).notices.at(0),
             Contains("kind bytes"));
  CHECK_FALSE(path_exists(without / "tokenizer.json"));
  write_atomically(fs(), without / "tokenizer.json", std::string_view(R"({"model": {"type": "WordPiece"}})"));
  const ImportedModel plain = import_hf(without);
  CHECK(plain.tokenizer.empty());
  CHECK_THAT(plain.notices.at(0), Contains("tokenizer left out") && Contains("tokenizer.json"));

  // A vocabulary that is larger than the model's cannot be its own.
  m.vocab = 259;
  const Path small = folder.path() / "small";
  export_hf(fs(), small, *filled_gpt(m), nullptr, {});
  std::filesystem::copy_file(with / "tokenizer.json", small / "tokenizer.json");
  CHECK_THAT(import_hf(small).notices.at(0), Contains("260 tokens, the model has 259"));
}

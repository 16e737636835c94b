// Checkpoints of llm.c: out and in again, the layout of the file, and damaged ones.
#include "formats/llmc.hpp"

#include <cstring>

#include "base/error.hpp"
#include "formats/foreign_models.hpp"
#include "support/catch.hpp"
#include "support/changed_bytes.hpp"
#include "support/compare.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using namespace loglog::formats;
using namespace loglog::testing;
using Catch::Contains;

namespace {

struct Checkpoint {
  TemporaryFolder folder;
  Path path = folder.path() / "model.bin";
  std::unique_ptr<model::Gpt> gpt = filled_gpt(small_gpt2());
  explicit Checkpoint(io::Dtype dtype = io::Dtype::f32) {
    export_llmc(real_file_system(), path, *gpt, dtype);
  }

  std::string bytes() const { return read_text(path); }
  void write(const std::string& bytes) const { write_bytes(path, bytes); }
};

void set_int(std::string& bytes, std::size_t index, std::int32_t value) {
  std::memcpy(bytes.data() + 4 * index, &value, 4);
}
std::int32_t int_at(const std::string& bytes, std::size_t index) {
  std::int32_t value;
  std::memcpy(&value, bytes.data() + 4 * index, 4);
  return value;
}
float float_at(const std::string& bytes, std::size_t index) {
  float value;
  std::memcpy(&value, bytes.data() + 1024 + 4 * index, 4);
  return value;
}

}  // namespace

TEST_CASE("a checkpoint that goes out comes in with the same bits") {
  const Checkpoint file;
  const ImportedModel back = import_llmc(file.path);
  CHECK(back.config.model == file.gpt->config());
  CHECK(compare_equal(values_of(*back.gpt), values_of(*file.gpt)));
  CHECK(back.tokenizer.empty());
}

TEST_CASE("version 5 is bfloat16") {
  const Checkpoint file(io::Dtype::bf16);
  CHECK(int_at(file.bytes(), 1) == 5);
  const std::vector<float> exact = values_of(*file.gpt), rounded = values_of(*import_llmc(file.path).gpt);
  CHECK_FALSE(compare_equal(rounded, exact).passed);
  CHECK(compare(static_cast<std::int64_t>(exact.size()), [&](std::int64_t i) {
    const double x = exact[static_cast<std::size_t>(i)];
    return Element{rounded[static_cast<std::size_t>(i)], x, 0x1p-8 * std::abs(x)};
  }));
}

// The places of a file of the small model by hand: V 11 of 128 rows, T 7, C 12, L 2.
TEST_CASE("header and order of the tensors") {
  const Checkpoint file;
  const std::string bytes = file.bytes();
  const std::int32_t header[] = {20240326, 3, 7, 11, 2, 3, 12, 128};
  for (std::size_t i = 0; i < 8; ++i) CHECK(int_at(bytes, i) == header[i]);
  for (std::size_t i = 8; i < 256; ++i) REQUIRE(int_at(bytes, i) == 0);
  const std::size_t wpe = 128 * 12, ln1w = wpe + 7 * 12, ln1b = ln1w + 2 * 12, qkvw = ln1b + 2 * 12;
  const auto value = [&](std::string_view name, Index i) { return parameter(*file.gpt, name).value[i]; };
  CHECK(float_at(bytes, 10 * 12 + 5) == value("embedding.token", 10 * 12 + 5));
  CHECK(float_at(bytes, 11 * 12) == 0.0f);
  CHECK(float_at(bytes, 127 * 12 + 11) == 0.0f);
  CHECK(float_at(bytes, wpe + 3) == value("embedding.position", 3));
  CHECK(float_at(bytes, ln1w + 12 + 4) == value("blocks.1.attention.norm.gain", 4));
  CHECK(float_at(bytes, ln1b + 4) == value("blocks.0.attention.norm.bias", 4));
  // Row 20, column 7 of (3C, C) is row 7, column 20 of ours.
  CHECK(float_at(bytes, qkvw + 36 * 12 + 20 * 12 + 7) == value("blocks.1.attention.qkv.weight", 7 * 36 + 20));
  CHECK(bytes.size() == 1024 + 4 * (128 * 12 + 7 * 12 + 2 * (12 * 12 * 12 + 13 * 12) + 2 * 12));
  CHECK(float_at(bytes, bytes.size() / 4 - 256 - 1) == value("head.norm.bias", 11));
}

TEST_CASE("damaged headers are refused by file, place and field") {
  const Checkpoint file;
  const std::string good = file.bytes();
  struct Case {
    std::size_t index;
    std::int32_t value;
    const char* says;
  };
  const Case cases[] = {
      {0, 20240520, "magic at byte 0: 20240520, a model of llm.c has 20240326"},
      {1, 4, "version at byte 4: 4 is not read"},
      {2, 0, "context at byte 8: 0 is not from 1"},
      {3, -1, "vocabulary at byte 12: -1 is not from 1"},
      {4, 1 << 30, "layers at byte 16: 1073741824 is not from 1 to 1024"},
      {5, 0, "heads at byte 20: 0 is not from 1"},
      {5, 5, "12 is no multiple of 5 heads"},
      {6, 1 << 20, "width at byte 24"},
      {7, 10, "padded vocabulary at byte 28: 10 is not from 11"},
      {7, 256, "bytes of tensors, the file has"},
      {4, 3, "bytes of tensors, the file has"},
      {4, 1024, "bytes of tensors, the file has"},
  };
  for (const Case& c : cases) {
    std::string bytes = good;
    set_int(bytes, c.index, c.value);
    file.write(bytes);
    INFO(c.says);
    CHECK_THROWS_WITH(import_llmc(file.path), Contains(file.path.native()) && Contains(c.says));
    CHECK_THROWS_AS(import_llmc(file.path), InputError);
  }
  file.write(good + "x");
  CHECK_THROWS_WITH(import_llmc(file.path), Contains("bytes of tensors, the file has"));
}

TEST_CASE("every file that is cut short is refused") {
  const Checkpoint file;
  const std::string good = file.bytes();
  for (std::size_t length = 0; length < good.size(); length += length < 1100 ? 1 : 997) {
    file.write(good.substr(0, length));
    INFO(length);
    REQUIRE_THROWS_AS(import_llmc(file.path), InputError);
  }
}

TEST_CASE("10,000 changed files: an InputError, or a model") {
  const Checkpoint file;
  const std::string good = file.bytes(), header = good.substr(0, 40), rest = good.substr(40);
  int refused = 0;
  for (std::uint64_t round = 0; round < 10'000; ++round) {
    std::string bytes = changed_bytes(header, round);
    file.write(bytes + rest);
    try {
      const ImportedModel model = import_llmc(file.path);
      REQUIRE(model.gpt != nullptr);
    } catch (const InputError&) {
      ++refused;
    }
  }
  CHECK(refused > 9000);
  CHECK(refused < 10'000);
}

TEST_CASE("models that llm.c has no form for") {
  const auto exports = [](const model::ModelConfig& m) {
    const TemporaryFolder folder;
    export_llmc(real_file_system(), folder.path() / "x.bin", *filled_gpt(m), io::Dtype::f32);
  };
  model::ModelConfig m = small_gpt2();
  m.mlp_width = 40;
  CHECK_THROWS_WITH(exports(m), Contains("llm.c: model.mlp_width is 40, there it is 48"));
  m = small_gpt2(), m.tied = false;
  CHECK_THROWS_WITH(exports(m), Contains("model.tied"));
  m = small_gpt2(), m.norm_epsilon = 1e-6f;
  CHECK_THROWS_WITH(exports(m), Contains("model.norm_epsilon"));
  m = small_gpt2(), m.mlp = "gelu-erf";
  CHECK_THROWS_AS(exports(m), UsageError);
  CHECK_THROWS_AS(exports(small_llama()), UsageError);
}

// GGUF as its description says, byte by byte for a small file, and what a reader makes of it.
#include "io/gguf_writer.hpp"

#include "base/check.hpp"
#include "io/gguf_reader.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using namespace loglog::io;
using namespace loglog::testing;

namespace {

std::string bytes_of(const GgufWriter& writer) {
  const TemporaryFolder folder;
  writer.write(real_file_system(), folder.path() / "x.gguf");
  return read_text(folder.path() / "x.gguf");
}

auto filled_with(float first) {
  return [first](std::span<float> values) {
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = first + static_cast<float>(i);
  };
}

}  // namespace

TEST_CASE("a file with one key and one tensor, byte by byte") {
  GgufWriter writer;
  writer.add("k", std::uint32_t{258});
  writer.add_tensor("t", {2, 1}, Dtype::f32,
                    [](std::span<float> values) { values[0] = 1.0f, values[1] = -2.0f; });
  using namespace std::string_literals;
  std::string expected =
      "GGUF\3\0\0\0"s + "\1\0\0\0\0\0\0\0"s + "\1\0\0\0\0\0\0\0"s;  // version, tensors, keys
  expected += "\1\0\0\0\0\0\0\0k"s + "\4\0\0\0"s + "\2\1\0\0"s;     // key, type, value
  expected +=
      "\1\0\0\0\0\0\0\0t"s + "\2\0\0\0"s + "\1\0\0\0\0\0\0\0"s + "\2\0\0\0\0\0\0\0"s;  // name, dimensions
  expected += "\0\0\0\0"s + "\0\0\0\0\0\0\0\0"s;                                       // type, offset
  expected.resize((expected.size() + 31) / 32 * 32, '\0');
  expected += "\0\0\x80\x3f"s + "\0\0\0\xc0"s + std::string(24, '\0');
  CHECK(bytes_of(writer) == expected);
}

TEST_CASE("values of every type and tensors on their boundaries") {
  GgufWriter writer;
  writer.add("text", "words");
  writer.add("float", 0.5f);
  writer.add("yes", true);
  writer.add("texts", std::vector<std::string>{"a", "", "ccc"});
  writer.add("numbers", std::vector<std::int32_t>{-1, 7});
  writer.add_tensor("a", {3, 5}, Dtype::f32, filled_with(1));
  writer.add_tensor("h", {3}, Dtype::f16, filled_with(1));
  writer.add_tensor("b", {9}, Dtype::f32, filled_with(50));
  const GgufFile file(bytes_of(writer));
  CHECK(file.text("text") == "words");
  CHECK(file.number("float") == 0.5);
  CHECK(file.number("yes") == 1);
  CHECK(file.texts("texts") == std::vector<std::string>{"a", "", "ccc"});
  CHECK(file.numbers("numbers") == std::vector<double>{-1, 7});
  CHECK(file.tensors().at("a").dimensions == std::vector<std::uint64_t>{5, 3});
  CHECK(file.tensors().at("a").values.back() == 15);
  CHECK(file.tensors().at("h").offset == 64);
  CHECK(file.tensors().at("b").offset == 96);
  CHECK(file.tensors().at("b").values.front() == 50);
}

TEST_CASE("two tensors of one name, and types that are not written, are mistakes of ours") {
  GgufWriter writer;
  writer.add_tensor("a", {1}, Dtype::f32, filled_with(1));
  CHECK_THROWS_AS(writer.add_tensor("b", {1}, Dtype::bf16, filled_with(1)), ContractError);
  writer.add_tensor("a", {1}, Dtype::f32, filled_with(1));
  CHECK_THROWS_AS(bytes_of(writer), ContractError);
}

// Folders of tensors: one file, shards with their index, and indices that lie.
#include "io/tensor_folder.hpp"

#include <nlohmann/json.hpp>

#include "base/error.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using namespace loglog::io;
using Catch::Contains;

namespace {

constexpr const char* kIndex = "model.safetensors.index.json";

// Three tensors of 8, 4 and 8 bytes.
class Folder {
 public:
  const Path& path() const { return folder_.path(); }
  std::vector<std::string> write(std::uint64_t shard_bytes, Dtype dtype = Dtype::f32) const {
    const std::vector<TensorValues> tensors = {{"a", {2}, {a, 2}}, {"b", {1}, {b, 1}}, {"c", {2, 1}, {c, 2}}};
    return write_tensor_folder(real_file_system(), path(), tensors, {{"format", "pt"}}, dtype, shard_bytes);
  }
  template <class Change>
  void edit_index(Change&& change) const {
    nlohmann::ordered_json index = nlohmann::ordered_json::parse(read_text(path() / kIndex));
    change(index);
    write_atomically(real_file_system(), path() / kIndex, index.dump());
  }
  static constexpr float a[] = {1, 2}, b[] = {3}, c[] = {4, 5};

 private:
  TemporaryFolder folder_;
};

float first_of(const TensorFolder& folder, const char* name) {
  const TensorFolder::Tensor* tensor = folder.find(name);
  REQUIRE(tensor != nullptr);
  std::vector<float> values(tensor->entry->elements());
  tensor->read(values);
  return values[0];
}

}  // namespace

TEST_CASE("what fits is one file; what does not is cut between tensors") {
  struct Case {
    std::uint64_t shard_bytes;
    Dtype dtype;
    std::size_t files;  // the index is one
  };
  for (const Case& c : {Case{20, Dtype::f32, 1},
                        {19, Dtype::f32, 3},
                        {12, Dtype::f32, 3},
                        {11, Dtype::f32, 4},
                        {1, Dtype::f32, 4},
                        {10, Dtype::bf16, 1},
                        {6, Dtype::bf16, 3}}) {
    CAPTURE(c.shard_bytes);
    const Folder folder;
    const std::vector<std::string> files = folder.write(c.shard_bytes, c.dtype);
    CHECK(files.size() == c.files);
    const TensorFolder back(folder.path());
    CHECK(back.tensors().size() == 3);
    CHECK(first_of(back, "a") == 1);
    CHECK(first_of(back, "b") == 3);
    CHECK(first_of(back, "c") == 4);
    CHECK(back.find("d") == nullptr);
  }
  const Folder folder;
  CHECK(folder.write(12) == std::vector<std::string>{"model-00001-of-00002.safetensors",
                                                     "model-00002-of-00002.safetensors", kIndex});
  const auto index = nlohmann::json::parse(read_text(folder.path() / kIndex));
  CHECK(index["metadata"]["total_size"] == 20);
  CHECK(index["weight_map"]["c"] == "model-00002-of-00002.safetensors");
}

TEST_CASE("an index that lies is refused by file and tensor") {
  const Folder folder;
  folder.write(12);
  const auto refuses = [&](const char* what) {
    CHECK_THROWS_WITH(TensorFolder(folder.path()), Contains(what));
    CHECK_THROWS_AS(TensorFolder(folder.path()), InputError);
    folder.write(12);
  };
  for (const char* name : {"../model-00001-of-00002.safetensors", "/etc/passwd", "sub/x.safetensors", "..",
                           "", "model.bin", "x.safetensors/"}) {
    folder.edit_index([&](auto& index) { index["weight_map"]["a"] = name; });
    refuses("weight_map/a is '");
  }
  folder.edit_index([](auto& index) { index["weight_map"]["a"] = "model-00002-of-00002.safetensors"; });
  refuses("tensor 'a' is to be in 'model-00002-of-00002.safetensors', which has none of that name");
  folder.edit_index([](auto& index) { index["weight_map"]["z"] = "model-00002-of-00002.safetensors"; });
  refuses("tensor 'z' is to be in");
  folder.edit_index([](auto& index) { index["weight_map"].erase("a"); });
  refuses("tensor 'a' of");
  folder.edit_index([](auto& index) { index["weight_map"]["a"] = 3; });
  refuses("weight_map/a");
  folder.edit_index([](auto& index) { index.erase("weight_map"); });
  refuses("weight_map names no tensor");
  folder.edit_index([](auto& index) { index["weight_map"]["a"] = "model-00009-of-00002.safetensors"; });
  refuses("model-00009-of-00002.safetensors");
  std::filesystem::copy_file(folder.path() / "model-00001-of-00002.safetensors",
                             folder.path() / "model-00002-of-00002.safetensors",
                             std::filesystem::copy_options::overwrite_existing);
  refuses("tensor 'a' is in '");
}

TEST_CASE("folders without tensors, with a hint where there is a pickle") {
  const Folder folder;
  CHECK_THROWS_WITH(TensorFolder(folder.path()), Contains("holds neither model.safetensors nor"));
  write_atomically(real_file_system(), folder.path() / "consolidated.00.pth", std::string_view("x"));
  CHECK_THROWS_WITH(TensorFolder(folder.path()),
                    Contains("'consolidated.00.pth' is a pickle") && Contains("safe_serialization"));
  CHECK_THROWS_AS(TensorFolder(folder.path() / "absent"), InputError);
}

#include "io/npy.hpp"

#include <cmath>
#include <cstring>

#include "base/error.hpp"
#include "support/catch.hpp"
#include "support/changed_bytes.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using Catch::Contains;

namespace {

template <class Number>
std::string bytes_of(const std::vector<Number>& numbers) {
  std::string bytes(numbers.size() * sizeof(Number), '\0');
  std::memcpy(bytes.data(), numbers.data(), bytes.size());
  return bytes;
}

// A file as numpy.save writes it: header padded with spaces to a multiple of 64, a line end last.
std::string npy(const std::string& dictionary, const std::string& data, int major = 1) {
  std::string text = std::string("\x93NUMPY") + static_cast<char>(major) + '\0';
  const std::size_t before = text.size() + (major == 1 ? 2 : 4);
  std::string header = dictionary;
  header.append((64 - (before + header.size() + 1) % 64) % 64, ' ');
  header += '\n';
  const auto length = static_cast<std::uint32_t>(header.size());
  text += std::string(reinterpret_cast<const char*>(&length), major == 1 ? 2 : 4);
  return text + header + data;
}

const std::string kGood = npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }",
                              bytes_of<float>({1, -2, 3.5f, 0, 1e30f, -0.0f}));

struct Written {
  TemporaryFolder folder;
  Path path = folder.path() / "a.npy";
  explicit Written(const std::string& bytes) { testing::write_bytes(path, bytes); }
  io::NpyFile open() const { return io::NpyFile(path); }
};

std::vector<float> values_of(const io::NpyFile& file) {
  std::vector<float> values(file.elements());
  file.read(values);
  return values;
}

}  // namespace

TEST_CASE("arrays of numpy, in every version, type and shape that is read") {
  for (const int major : {1, 2, 3}) {
    const Written file(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }",
                           bytes_of<float>({1, -2, 3.5f, 0, 1e30f, -0.0f}), major));
    const io::NpyFile array = file.open();
    CHECK(array.shape() == std::vector<std::uint64_t>{2, 3});
    CHECK(values_of(array) == std::vector<float>{1, -2, 3.5f, 0, 1e30f, -0.0f});
  }
  const Written half(npy("{'descr': '<f2', 'fortran_order': False, 'shape': (3,), }",
                         bytes_of<std::uint16_t>({0x3c00, 0xc000, 0x7bff})));
  CHECK(values_of(half.open()) == std::vector<float>{1, -2, 65504});
  // 8 bytes are rounded to the nearest of 4; what is beyond them is infinite.
  const Written wide(npy("{\"shape\": (3,), \"descr\": \"<f8\", \"fortran_order\": False}",
                         bytes_of<double>({0.1, -1e300, 1 + 0x1p-24})));
  CHECK(values_of(wide.open()) == std::vector<float>{0.1f, -INFINITY, 1});
  const Written one(npy("{'descr': '<f4', 'fortran_order': False, 'shape': ()}", bytes_of<float>({7})));
  CHECK(one.open().shape().empty());
  CHECK(values_of(one.open()) == std::vector<float>{7});
  const Written none(npy("{'descr': '<f4', 'fortran_order': False, 'shape': (4, 0)}", ""));
  CHECK(none.open().elements() == 0);
}

TEST_CASE("what is wrong with an array is said, and where") {
  const auto refused = [](const std::string& bytes, const std::string& why) {
    const Written file(bytes);
    INFO(why);
    CHECK_THROWS_WITH(file.open(), Contains(why) && Contains("a.npy"));
    CHECK_THROWS_AS(file.open(), InputError);
  };
  const std::string data(24, '\0');
  const auto header = [&](const std::string& dictionary) { return npy(dictionary, data); };
  refused("", "the magic at byte 0");
  refused("NUMPY and more", "this is no .npy file");
  refused(npy("{}", "", 4), "the major version at byte 6: 4 is not read, 1 to 3 are");
  refused(kGood.substr(0, 40), "the header at byte 10: ");
  refused(kGood.substr(0, kGood.size() - 1), "takes 24 bytes, the file has 23");
  refused(kGood + "x", "takes 24 bytes, the file has 25");
  refused(header("{'descr': '>f4', 'fortran_order': False, 'shape': (2, 3)}"), "'>f4' is not read");
  refused(header("{'descr': '<i4', 'fortran_order': False, 'shape': (2, 3)}"), "'<i4' is not read");
  refused(header("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2, 3)}"), "structured arrays");
  refused(header("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3)}"), "ascontiguousarray");
  refused(header("{'descr': '<f4', 'fortran_order': 0, 'shape': (2, 3)}"), "neither True nor False");
  refused(header("{'descr': '<f4', 'fortran_order': False}"), "descr, fortran_order and shape are needed");
  refused(header("{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)}"), "twice");
  refused(header("{'descr': '<f4', 'order': False, 'shape': (2, 3)}"), "key 'order' is none of");
  refused(header("{'descr': '<f4', 'fortran_order': False, 'shape': (2, -3)}"), "no whole number");
  refused(header("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 18446744073709551616)}"),
          "no whole number");
  refused(header("{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775808, 2)}"),
          "more than 2^64");
  refused(header("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)} more"),
          "behind the header's '}'");
  refused(header("{'descr': '<f4, 'fortran_order': False, 'shape': (2, 3)}"), "the header, character");
  refused(std::string("\x93NUMPY\x02\0", 8) + std::string("\xff\xff\xff\x7f", 4), "at most 65536 are read");
}

TEST_CASE("no prefix of an array and no damage to it is more than an error") {
  const TemporaryFolder folder;
  const Path path = folder.path() / "a.npy";
  const auto survives = [&](const std::string& bytes) {
    std::filesystem::remove(path);  // ext4 flushes a file that is truncated and written anew
    testing::write_bytes(path, bytes);
    try {
      const io::NpyFile file(path);
      if (file.elements() < 1000) values_of(file);
      return true;
    } catch (const InputError&) {
      return false;
    }
  };
  REQUIRE(survives(kGood));
  for (std::size_t length = 0; length < kGood.size(); ++length)
    REQUIRE_FALSE(survives(kGood.substr(0, length)));
  for (std::uint64_t round = 0; round < 10000; ++round) survives(testing::changed_bytes(kGood, round));
}

#include "train/run_record.hpp"

#include <limits>

#include "base/error.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using namespace loglog::train;

TEST_CASE("numbers that are not finite become words, never null") {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  REQUIRE(number(1.5).dump() == "1.5");
  REQUIRE(number(kInf).dump() == "\"inf\"");
  REQUIRE(number(-kInf).dump() == "\"-inf\"");
  REQUIRE(number(std::numeric_limits<double>::quiet_NaN()).dump() == "\"nan\"");
}

TEST_CASE("events are lines, held back until flush, and a resumed record is cut where its checkpoint says") {
  const TemporaryFolder folder;
  const Path path = folder.path() / "record.jsonl";
  std::uint64_t cut = 0;
  {
    RunRecord record(real_file_system(), path, 0);
    record.add("config", 0, {{"tokens", 0}});
    REQUIRE(read_text(path).empty());
    record.flush();
    cut = record.bytes();
    REQUIRE(read_text(path) == "{\"schema\":1,\"event\":\"config\",\"step\":0,\"tokens\":0}\n");
    record.add("step", 1, {{"train_loss", 2.5}});
    record.flush();
    record.add("step", 2, {{"train_loss", 2.0}});  // never flushed: the process died
  }
  RunRecord resumed(real_file_system(), path, cut);
  resumed.add("step", 1, {{"train_loss", 2.5}});
  resumed.flush();
  REQUIRE(read_text(path).size() == resumed.bytes());
  REQUIRE(read_text(path) ==
          "{\"schema\":1,\"event\":\"config\",\"step\":0,\"tokens\":0}\n"
          "{\"schema\":1,\"event\":\"step\",\"step\":1,\"train_loss\":2.5}\n");
  REQUIRE_THROWS_AS(RunRecord(real_file_system(), path, 10000), InputError);
}

TEST_CASE("events that wait for a flush stay below a MiB") {
  const TemporaryFolder folder;
  const Path path = folder.path() / "record.jsonl";
  RunRecord record(real_file_system(), path, 0);
  for (int i = 0; i < 3; ++i) record.add("step", i, {{"text", std::string(std::size_t{700} << 10, 'x')}});
  REQUIRE(std::filesystem::file_size(path) > (std::size_t{1400} << 10));
  REQUIRE(std::filesystem::file_size(path) == record.bytes());
}

// Faults F3 (power loss), F4 (a call fails, the disk is full), F7 (out of memory) and F17 (newer version) of
// checkpoints, besides what a healthy one must do.
#include "model/checkpoint.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <set>

#include "base/error.hpp"
#include "support/catch.hpp"
#include "support/failing_allocator.hpp"
#include "support/faulty_file_system.hpp"
#include "support/skip.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using namespace loglog::model;
using Catch::Contains;

namespace {

// A model of two tensors whose values are made from the step, so that a mix of two checkpoints would show.
struct Model {
  std::vector<float> weights = std::vector<float>(6 * 7);
  std::vector<float> bias = std::vector<float>(5);
  explicit Model(Index step) {
    for (std::size_t i = 0; i < weights.size(); ++i)
      weights[i] = static_cast<float>(step * 1000) + static_cast<float>(i);
    for (std::size_t i = 0; i < bias.size(); ++i) bias[i] = -weights[i];
  }
  std::vector<CheckpointTensor> tensors() { return {{"weights", 6, 7, weights}, {"bias", 1, 5, bias}}; }
  friend bool operator==(const Model&, const Model&) = default;
};

CheckpointState state_at(Index step) {
  CheckpointState state;
  state.step = step;
  state.windows = 12 * step;
  state.tokens = 64 * state.windows;
  state.identity = "id";
  state.config.train.seed = 5;
  state.config.train.batch = 12;
  return state;
}

void save(FileSystem& fs, const Path& folder, Index step) {
  const CheckpointFolder checkpoints(fs, folder);
  checkpoints.create();
  checkpoints.save(state_at(step), Model(step).tensors());
}

// The step of the newest checkpoint, after checking that its tensors are those of that step; -1 when there is none.
Index newest_step(const Path& folder) {
  const CheckpointFolder checkpoints(real_file_system(), folder);
  const auto state = checkpoints.newest();
  if (!state) return -1;
  Model found(0);
  checkpoints.load(state->step, found.tensors());
  REQUIRE(found == Model(state->step));
  return state->step;
}

std::set<std::string> names_in(const Path& folder) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    names.insert(entry.path().filename().string());
  return names;
}

const std::string kTen = "step-000000000010";
const std::string kTwenty = "step-000000000020";

}  // namespace

TEST_CASE("a checkpoint gives back what was saved, and the two newest are kept") {
  const TemporaryFolder folder;
  const Path path = folder.path() / "checkpoints";
  REQUIRE_FALSE(CheckpointFolder(real_file_system(), path).newest());
  for (const Index step : {10, 20, 30}) save(real_file_system(), path, step);
  REQUIRE(newest_step(path) == 30);
  const auto state = CheckpointFolder(real_file_system(), path).newest();
  REQUIRE(state->windows == 360);
  REQUIRE(state->config == state_at(30).config);
  REQUIRE(names_in(path).size() == 4);
  REQUIRE_FALSE(names_in(path).contains(kTen + ".json"));
}

TEST_CASE("kept steps stay besides the two newest") {
  const TemporaryFolder folder;
  const CheckpointFolder checkpoints(real_file_system(), folder.path());
  checkpoints.create();
  for (const Index step : {0, 5, 20, 25, 40, 45, 50, 55})
    checkpoints.save(state_at(step), Model(step).tensors(), {.step = 5, .every = 20});
  CHECK(checkpoints.steps() == std::vector<Index>{5, 20, 40, 50, 55});  // 0 is no multiple that counts
  CHECK(checkpoints.at(20).windows == state_at(20).windows);
  checkpoints.save(state_at(60), Model(60).tensors());
  CHECK(checkpoints.steps() == std::vector<Index>{55, 60});
}

TEST_CASE("what an interrupted write left behind is ignored, and swept up by the next save") {
  const TemporaryFolder folder;
  save(real_file_system(), folder.path(), 10);
  std::ofstream(folder.path() / (kTwenty + ".safetensors")) << "half";
  std::ofstream(folder.path() / "step-000000000030.json.tmp") << "half";
  REQUIRE(newest_step(folder.path()) == 10);
  save(real_file_system(), folder.path(), 40);
  REQUIRE(names_in(folder.path()).size() == 4);
}

TEST_CASE("damage is named, with the last good step") {
  const TemporaryFolder folder;
  const CheckpointFolder checkpoints(real_file_system(), folder.path());
  save(real_file_system(), folder.path(), 10);
  save(real_file_system(), folder.path(), 20);
  const Path tensors = folder.path() / (kTwenty + ".safetensors");
  const auto size = std::filesystem::file_size(tensors);

  SECTION("short") {
    std::filesystem::resize_file(tensors, size - 13);
    REQUIRE_THROWS_WITH(checkpoints.newest(),
                        Contains("is 13 bytes short; the last good checkpoint is step 10"));
  }
  SECTION("long") {
    std::filesystem::resize_file(tensors, size + 1);
    REQUIRE_THROWS_WITH(checkpoints.newest(), Contains("1 bytes too long"));
  }
  SECTION("one bit") {
    std::fstream file(tensors, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(size - 3));
    const char flipped = static_cast<char>(file.get() ^ 4);
    file.seekp(static_cast<std::streamoff>(size - 3));
    file.put(flipped);
    file.close();
    REQUIRE_THROWS_WITH(checkpoints.newest(), Contains("checksum") && Contains("step 10"));
  }
  SECTION("gone") {
    std::filesystem::remove(tensors);
    REQUIRE_THROWS_AS(checkpoints.newest(), InputError);
  }
  SECTION("every prefix of the manifest") {
    const Path manifest = folder.path() / (kTwenty + ".json");
    const std::string text = read_text(manifest);
    for (std::size_t n = 0; n + 2 < text.size(); n += 7) {
      std::ofstream(manifest, std::ios::binary) << text.substr(0, n);
      REQUIRE_THROWS_AS(checkpoints.newest(), InputError);
    }
  }
  SECTION("all of them") {
    std::filesystem::resize_file(tensors, 0);
    std::filesystem::resize_file(folder.path() / (kTen + ".safetensors"), 0);
    REQUIRE_THROWS_WITH(checkpoints.newest(), Contains("there is no other checkpoint"));
  }
}

TEST_CASE("F17: a newer version is refused by name, not misread") {
  const TemporaryFolder folder;
  save(real_file_system(), folder.path(), 10);
  const Path manifest = folder.path() / (kTen + ".json");
  std::string text = read_text(manifest);
  text.replace(text.find("\"version\": 1"), 12, "\"version\": 2");
  std::ofstream(manifest, std::ios::binary) << text;
  const CheckpointFolder checkpoints(real_file_system(), folder.path());
  REQUIRE_THROWS_WITH(checkpoints.newest(), Contains("version 2") && Contains("use a newer loglog"));
}

TEST_CASE("a manifest whose numbers contradict each other is damaged, and says which") {
  const TemporaryFolder folder;
  save(real_file_system(), folder.path(), 10);
  const Path manifest = folder.path() / (kTen + ".json");
  const std::string text = read_text(manifest);
  for (const auto& [field, value] :
       {std::pair("step", "11"), {"windows", "-5"}, {"windows", "121"}, {"tokens", "7681"}}) {
    std::string edited = text;
    const std::size_t at = edited.find(':', edited.find(fmt::format("\"{}\"", field)));
    edited.replace(at + 1, edited.find(',', at) - at - 1, value);
    std::ofstream(manifest, std::ios::binary) << edited;
    REQUIRE_THROWS_WITH(CheckpointFolder(real_file_system(), folder.path()).newest(),
                        Contains(fmt::format("{} is {}, expected", field, value)));
  }
}

TEST_CASE("counts of a run that skipped or was forked are still counts") {
  const TemporaryFolder folder;
  const CheckpointFolder checkpoints(real_file_system(), folder.path());
  CheckpointState state = state_at(10);
  state.config.train.spike = 5;
  state.windows = 1000;
  state.source_windows = {70, 50};
  state.parent_tokens = 64;
  checkpoints.save(state, Model(10).tensors());
  REQUIRE(checkpoints.newest()->source_windows == state.source_windows);
  REQUIRE(checkpoints.newest()->parent_tokens == 64);
  const Path manifest = folder.path() / (kTen + ".json");
  const std::string text = read_text(manifest);
  for (const std::string field : {"windows", "tokens", "parent_tokens", "spikes", "record_bytes", "step"}) {
    for (const char* value : {"-1", "2000000000000000000"}) {
      std::string edited = text;
      const std::size_t at = edited.find(':', edited.find(fmt::format("\n  \"{}\"", field)));
      edited.replace(at + 1, edited.find(',', at) - at - 1, value);
      std::ofstream(manifest, std::ios::binary) << edited;
      INFO(field << " " << value);
      REQUIRE_THROWS_AS(checkpoints.newest(), InputError);
      REQUIRE_THROWS_WITH(checkpoints.newest(),
                          Contains(fmt::format("{} is {}, expected 0 to", field, value)));
    }
  }
  for (const auto& [from, to] :
       {std::pair<std::string, std::string>{"\"batch\": 12", "\"batch\": 1000000000000000"},
        {"\"first_batch\": 0", "\"first_batch\": 1"},
        {"\"steps\": 2000", "\"steps\": 9"}}) {
    std::string edited = text;
    edited.replace(edited.find(from), from.size(), to);
    std::ofstream(manifest, std::ios::binary) << edited;
    INFO(to);
    REQUIRE_THROWS_WITH(checkpoints.newest(), Contains("is damaged"));
  }
}

TEST_CASE("one more than the newest two is kept on request") {
  const TemporaryFolder folder;
  const CheckpointFolder checkpoints(real_file_system(), folder.path());
  for (const Index step : {20, 30, 40}) checkpoints.save(state_at(step), Model(step).tensors(), {.step = 20});
  REQUIRE(names_in(folder.path()).size() == 6);
  REQUIRE(checkpoints.last_until(25) == 20);
  checkpoints.save(state_at(10), Model(10).tensors(), {.step = 10});  // older than what is there
  REQUIRE(newest_step(folder.path()) == 40);
  REQUIRE(checkpoints.at(10).step == 10);
  checkpoints.drop_after(10);
  REQUIRE(newest_step(folder.path()) == 10);
  REQUIRE_FALSE(checkpoints.empty());
  checkpoints.drop_after(-1);
  REQUIRE(checkpoints.empty());
}

TEST_CASE("tensors of another model are refused") {
  const TemporaryFolder folder;
  save(real_file_system(), folder.path(), 10);
  const CheckpointFolder checkpoints(real_file_system(), folder.path());
  Model m(0);
  std::vector<CheckpointTensor> other = m.tensors();
  other[0] = {"weights", 7, 6, m.weights};
  REQUIRE_THROWS_WITH(checkpoints.load(10, other), Contains("'weights' is [6,7], the model has [7,6]"));
  other[0] = {"wieghts", 6, 7, m.weights};
  REQUIRE_THROWS_WITH(checkpoints.load(10, other), Contains("'wieghts' is missing"));
  other = m.tensors();
  other.pop_back();
  REQUIRE_THROWS_WITH(checkpoints.load(10, other), Contains("is none of this model"));
}

TEST_CASE("a manifest cannot point outside its folder") {
  const TemporaryFolder folder;
  save(real_file_system(), folder.path(), 10);
  const Path manifest = folder.path() / (kTen + ".json");
  std::string text = read_text(manifest);
  const std::string name = kTen + ".safetensors";
  text.replace(text.find(name), name.size(), "../x");
  std::ofstream(manifest, std::ios::binary) << text;
  REQUIRE_THROWS_WITH(CheckpointFolder(real_file_system(), folder.path()).newest(),
                      Contains("another folder"));
}

TEST_CASE("F3: after a power cut at any point, an old or a new complete checkpoint is there") {
  const TemporaryFolder folder;
  RecordingFileSystem fs(folder.path());
  const Path path = folder.path() / "checkpoints";
  std::vector<std::size_t> ends;  // calls after which step 10, 20, ... was reported as saved
  for (const Index step : {10, 20, 30, 40}) {
    save(fs, path, step);
    ends.push_back(fs.length());
  }
  int checked = 0;
  for (std::size_t prefix = 0; prefix <= fs.length(); ++prefix) {
    const auto saved =
        std::count_if(ends.begin(), ends.end(), [&](std::size_t end) { return end <= prefix; });
    for (std::uint64_t draw = 0; draw < 8; ++draw) {
      const TemporaryFolder disk;
      fs.after_power_cut(prefix, Rng(draw, prefix)).write_to(disk.path());
      const Index found = newest_step(disk.path() / "checkpoints");
      INFO("prefix " << prefix << " draw " << draw << " found step " << found);
      REQUIRE((found == 10 * saved || found == 10 * (saved + 1) || (saved == 0 && found == -1)));
      ++checked;
    }
  }
  REQUIRE(checked > 250);
}

TEST_CASE("F4: whichever call fails, the earlier checkpoint is intact and nothing is left over") {
  int failures = 0;
  for (int k = 0;; ++k) {
    const TemporaryFolder folder;
    const Path path = folder.path() / "checkpoints";
    save(real_file_system(), path, 10);
    save(real_file_system(), path, 20);
    FailingFileSystem fs(k);
    try {
      save(fs, path, 30);
    } catch (const IoError& error) {
      INFO("call " << k << ": " << error.what());
      REQUIRE(error.exit_code == Exit::failed);
      REQUIRE_THAT(error.what(), Contains(folder.path().native()));
      const Index found = newest_step(path);
      REQUIRE((found == 20 || found == 30));
      for (const std::string& name : names_in(path)) REQUIRE_FALSE(name.ends_with(".tmp"));
      save(real_file_system(), path, 30);
      REQUIRE(names_in(path).size() == 4);
    }
    if (!fs.failed()) break;
    ++failures;
  }
  REQUIRE(failures > 12);
}

TEST_CASE("F4: a disk that is really full") {
  const TemporaryFolder folder;
  const pid_t child = ::fork();
  if (child == 0) {  // a mount of its own, which ends with the process
    if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        ::mount("tmpfs", folder.path().c_str(), "tmpfs", 0, "size=256k") != 0) {
      ::_exit(77);
    }
    const CheckpointFolder checkpoints(real_file_system(), folder.path() / "checkpoints");
    std::vector<float> small(10000), large(40000);
    checkpoints.create();
    checkpoints.save(state_at(10), std::vector<CheckpointTensor>{{"t", 1, 10000, small}});
    try {
      checkpoints.save(state_at(20), std::vector<CheckpointTensor>{{"t", 1, 40000, large}});
      checkpoints.save(state_at(30), std::vector<CheckpointTensor>{{"t", 1, 40000, large}});
      ::_exit(1);
    } catch (const IoError& error) {
      const bool told = error.code == ENOSPC && std::string(error.what()).find("bytes") != std::string::npos;
      const bool kept =
          checkpoints.newest()->step >= 10 && names_in(folder.path() / "checkpoints").size() <= 4;
      ::_exit(told && kept ? 0 : 2);
    }
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  if (WEXITSTATUS(status) == 77) {
    testing::skip("mounting a small tmpfs needs privileges that this process lacks");
    return;
  }
  REQUIRE(WEXITSTATUS(status) == 0);
}

TEST_CASE("F7: whichever allocation fails while loading, the error is clean", "[allocator]") {
  const TemporaryFolder folder;
  save(real_file_system(), folder.path(), 10);
  const CheckpointFolder checkpoints(real_file_system(), folder.path());
  Model m(0);
  const std::vector<CheckpointTensor> tensors = m.tensors();
  const int failures = fail_each_allocation([&] {
    const auto state = checkpoints.newest();
    checkpoints.load(state->step, tensors);
  });
  REQUIRE(failures > 50);
  REQUIRE(m == Model(10));
}

TEST_CASE("F7: whichever allocation fails while reading a configuration, the error is clean", "[allocator]") {
  const std::string json = to_json(RunConfig{});
  RunConfig config;
  config.train.steps = 1;
  REQUIRE(fail_each_allocation([&] { config = from_json(json, "c"); }) > 50);
  REQUIRE(config == RunConfig{});
}

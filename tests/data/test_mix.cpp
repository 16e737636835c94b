#include "data/mix.hpp"

#include "base/error.hpp"
#include "data/token_files.hpp"
#include "support/catch.hpp"
#include "support/temporary_folder.hpp"

using namespace loglog;
using namespace loglog::data;
using Catch::Contains;

namespace {

TokenFile write(const Path& path, const std::vector<NamedText>& sources, nlohmann::json meta,
                bool masked = false) {
  TokenWriter writer(real_file_system(), path, 1);
  std::uint64_t bytes = 0;
  for (const NamedText& source : sources) {
    writer.begin_source(source.name);
    if (masked) writer.append(tokens_of("??"), Counts::no);
    writer.append(tokens_of(source.text));
    writer.end_document(3);
    bytes += source.text.size() + (masked ? 2 : 0);
  }
  meta["text_bytes"] = bytes;
  if (masked) meta["counted_bytes"] = bytes - 2 * sources.size();
  writer.finish(256, meta);
  return TokenFile::open(path);
}

const nlohmann::json kBytes = {{"tokenizer", {{"kind", "bytes"}}}, {"line_end", 10}};

}  // namespace

TEST_CASE("sources, documents, masks and bytes of text go over; names that two files share are told apart") {
  const TemporaryFolder folder;
  const Path a = folder.path() / "a.tok", b = folder.path() / "b.tok", out = folder.path() / "c.tok";
  write(a, {{"web", "some web"}, {"own", "x"}}, kBytes);
  write(b, {{"web", "other"}, {"code", "int"}}, kBytes, true);
  const TokenFile file = mix_token_files(real_file_system(), {{a, b}, {"test"}}, out);
  REQUIRE(file.sources().size() == 4);
  const char* const names[] = {"a/web", "own", "b/web", "code"};
  for (std::size_t s = 0; s < 4; ++s) {
    CHECK(file.sources()[s].name == names[s]);
    CHECK(file.sources()[s].documents == 3);
  }
  const std::string text = "some webx??other??int";
  REQUIRE(file.size() == text.size());
  for (std::uint64_t i = 0; i < file.size(); ++i) {
    CHECK(file.token(i) == static_cast<unsigned char>(text[i]));
    CHECK(file.counts(i) == (text[i] != '?'));
  }
  CHECK(file.line_end() == Token{10});
  CHECK(file.bytes_per_token() == 1.0);
  CHECK(file.meta()["text_bytes"] == text.size());
  CHECK(file.meta()["counted_bytes"] == text.size() - 4);
  CHECK(file.meta()["mixed"][1]["checksum"] == TokenFile::open(b).checksum_text());
}

TEST_CASE("files of one name that share a source are refused by their paths, before anything is written") {
  const TemporaryFolder folder;
  for (const char* name : {"1", "2"}) std::filesystem::create_directory(folder.path() / name);
  const Path a = folder.path() / "1/t.tok", b = folder.path() / "2/t.tok", out = folder.path() / "c.tok";
  write(a, {{"web", "some"}, {"own", "x"}}, kBytes);
  write(b, {{"web", "other"}}, kBytes);
  CHECK_THROWS_AS(mix_token_files(real_file_system(), {{a, b}, {}}, out), UsageError);
  CHECK_THROWS_WITH(mix_token_files(real_file_system(), {{a, b}, {}}, out),
                    Contains(a.native()) && Contains(b.native()) && Contains("'web'") && Contains("rename"));
  write(b, {{"code", "other"}}, kBytes);
  CHECK(mix_token_files(real_file_system(), {{a, b}, {}}, out).sources().size() == 3);
}

TEST_CASE("files whose tokens mean different things are refused") {
  const TemporaryFolder folder;
  const Path a = folder.path() / "a.tok", b = folder.path() / "b.tok", out = folder.path() / "c.tok";
  write(a, {{"one", "text"}}, kBytes);
  const auto refuse = [&](const nlohmann::json& meta, const char* message) {
    write(b, {{"two", "text"}}, meta);
    CHECK_THROWS_WITH(mix_token_files(real_file_system(), {{a, b}, {}}, out), Contains(message));
    CHECK_FALSE(std::filesystem::exists(out));
  };
  refuse({{"tokenizer", {{"kind", "ids"}}}, {"line_end", 10}}, "different 'tokenizer'");
  refuse({{"tokenizer", {{"kind", "bytes"}}}, {"line_end", 11}}, "different 'line_end'");
  CHECK_THROWS_AS(mix_token_files(real_file_system(), {{a}, {}}, out), UsageError);
  CHECK_THROWS_AS(mix_token_files(real_file_system(), {{a, folder.path() / "absent"}, {}}, out), InputError);
  // Worlds of one kind and size may differ in their seed.
  const auto world = [](int seed) {
    return nlohmann::json{{"tokenizer", {{"kind", "world"}}},
                          {"world", {{"name", "markov"}, {"seed", seed}}}};
  };
  write(a, {{"one", "text"}}, world(1));
  write(b, {{"two", "text"}}, world(2));
  CHECK(mix_token_files(real_file_system(), {{a, b}, {}}, out).size() == 8);
}

#include "data/bpe_files.hpp"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>
#include <sstream>
#include <unordered_set>

#include "base/error.hpp"
#include "data/tokenizer.hpp"

namespace loglog::data {
namespace {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

// The character that stands for each byte.
std::array<Token, 256> characters_of_bytes() {
  std::array<Token, 256> characters{};
  Token next = 256;
  for (Token byte = 0; byte < 256; ++byte) {
    const bool is_printable = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    characters[static_cast<std::size_t>(byte)] = is_printable ? byte : next++;
  }
  return characters;
}

std::string written(const std::string& bytes) {
  static const std::array<Token, 256> characters = characters_of_bytes();
  std::string text;
  for (const char c : bytes) text += encode_utf8(characters[static_cast<unsigned char>(c)]);
  return text;
}

// A file that is being read: what errors name.
class Reader {
 public:
  explicit Reader(std::string name) : name_(std::move(name)) {
    const auto characters = characters_of_bytes();
    for (int byte = 0; byte < 256; ++byte)
      bytes_[characters[static_cast<std::size_t>(byte)]] = static_cast<char>(byte);
  }

  [[noreturn]] void reject(const std::string& what) const {
    throw InputError(fmt::format("'{}': {}", name_, what));
  }

  // The bytes that a token's characters stand for; nothing where one of them stands for none, as in special tokens.
  std::optional<std::string> bytes_of(const std::string& characters) const {
    std::vector<Token> code_points;
    Utf8Decoder decoder;
    decoder.decode(characters, code_points);
    decoder.finish(code_points);
    std::string bytes;
    for (const Token c : code_points) {
      const auto byte = bytes_.find(c);
      if (byte == bytes_.end()) return {};
      bytes += byte->second;
    }
    return bytes;
  }

  // What a tree needs to be walked and copied safely: few levels, and no key twice.
  Json parse(const std::string& text) const {
    constexpr int kDeepest = 32;                        // levels; a tokenizer.json has some ten
    std::vector<std::unordered_set<std::string>> keys;  // of the objects that are open
    const auto check = [&](int depth, Json::parse_event_t event, Json& value) {
      if (depth > kDeepest) reject(fmt::format("more than {} levels", kDeepest));
      if (event == Json::parse_event_t::object_start) keys.emplace_back();
      if (event == Json::parse_event_t::object_end) keys.pop_back();
      if (event == Json::parse_event_t::key && !keys.back().insert(value.get<std::string>()).second)
        reject(fmt::format("'{}' is there twice", value.get<std::string>()));
      return true;
    };
    try {
      return Json::parse(text, check);
    } catch (const Json::exception& error) {
      reject(fmt::format("no JSON: {}", error.what()));
    }
  }

 private:
  std::string name_;
  std::unordered_map<Token, char> bytes_;
};

struct Vocabulary {
  std::vector<std::string> bytes_of;             // by id; empty where no token has it
  std::unordered_map<std::string, Token> id_of;  // by the characters of the file
};

void place(const Reader& reader, Vocabulary& vocabulary, const std::string& name, std::int64_t id,
           std::string bytes) {
  constexpr std::int64_t kMost = 1 << 20;  // ids make room below them: a small file must not ask for much
  if (id < 0 || id >= kMost)
    reader.reject(fmt::format("token '{}' has id {}, must be from 0 to {}", name, id, kMost - 1));
  if (static_cast<std::size_t>(id) >= vocabulary.bytes_of.size())
    vocabulary.bytes_of.resize(static_cast<std::size_t>(id) + 1);
  vocabulary.bytes_of[static_cast<std::size_t>(id)] = std::move(bytes);
  vocabulary.id_of[name] = static_cast<Token>(id);
}

Vocabulary read_vocabulary(const Reader& reader, const Json& vocab) {
  if (!vocab.is_object()) reader.reject("the vocabulary must be an object of tokens and their ids");
  Vocabulary result;
  for (const auto& [name, id] : vocab.items()) {
    if (!id.is_number_integer()) reader.reject(fmt::format("token '{}' has no whole number as id", name));
    // What is no text of bytes is a special token that somebody put among the others.
    place(reader, result, name, id.get<std::int64_t>(), reader.bytes_of(name).value_or(name));
  }
  return result;
}

Bpe::Merge merge_of(const Reader& reader, const Vocabulary& vocabulary, std::size_t number,
                    const std::string& left, const std::string& right) {
  const auto id = [&](const std::string& name) {
    const auto found = vocabulary.id_of.find(name);
    if (found == vocabulary.id_of.end())
      reader.reject(fmt::format("merge {}, '{} {}': the vocabulary has no '{}'", number, left, right, name));
    return found->second;
  };
  return {id(left), id(right), id(left + right)};
}

// "left right"
Bpe::Merge merge_of(const Reader& reader, const Vocabulary& vocabulary, std::size_t number,
                    const std::string& line) {
  const std::size_t space = line.find(' ');
  if (space == std::string::npos || line.find(' ', space + 1) != std::string::npos)
    reader.reject(fmt::format("merge {}, '{}': must be two tokens with a space between them", number, line));
  return merge_of(reader, vocabulary, number, line.substr(0, space), line.substr(space + 1));
}

// The entry of an object; null where it has none.
const Json& entry(const Json& object, const char* key) {
  static const Json none;
  const auto found = object.find(key);
  return found == object.end() ? none : *found;
}

std::string type_of(const Json& part) {
  if (part.is_null()) return "none";
  return part.is_object() ? part.value("type", "without a type") : "no object";
}

// The expression that cuts text into pieces, where the file's way to do that is one of a byte-level BPE.
std::string expression_of(const Reader& reader, const Json& pre) {
  const auto is_byte_level = [&](const Json& part, bool with_expression) {
    return type_of(part) == "ByteLevel" && part.value("use_regex", true) == with_expression;
  };
  const auto refuse_prefix = [&](const Json& part) {
    if (part.value("add_prefix_space", true))
      reader.reject("pre_tokenizer: add_prefix_space is not done here");
  };
  if (is_byte_level(pre, true)) {
    refuse_prefix(pre);
    return std::string(kGpt2Pieces);
  }
  if (type_of(pre) == "Sequence" && pre.contains("pretokenizers") && pre["pretokenizers"].size() == 2) {
    const Json &split = pre["pretokenizers"][0], &bytes = pre["pretokenizers"][1];
    if (type_of(split) == "Split" && is_byte_level(bytes, false) &&
        split.value("behavior", "") == "Isolated" && !split.value("invert", false) &&
        split.contains("pattern") && split["pattern"].contains("Regex")) {
      refuse_prefix(bytes);
      return split["pattern"]["Regex"].get<std::string>();
    }
  }
  reader.reject(fmt::format(
      "pre_tokenizer {}: of these only ByteLevel is read, alone or behind one Split by an expression",
      type_of(pre)));
}

// What contradicts itself is a fault of the file, an expression that is none too.
Bpe make_bpe(const Reader& reader, Vocabulary& vocabulary, std::vector<Bpe::Merge> merges,
             std::string_view expression, std::vector<Bpe::Special> specials) {
  try {
    return Bpe(std::move(vocabulary.bytes_of), std::move(merges), expression, std::move(specials));
  } catch (const Error& error) {
    reader.reject(error.what());
  }
}

// What would change tokens, and is not done here.
void refuse_variants(const Reader& reader, const Json& file, const Json& model) {
  if (type_of(model) != "BPE")
    reader.reject(fmt::format("model is {}, only byte-level BPE is read", type_of(model)));
  if (model.value("byte_fallback", false))
    reader.reject("model: a BPE with byte_fallback (SentencePiece's) is not read");
  if (model.value("ignore_merges", false)) reader.reject("model: ignore_merges is not done here");
  for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"})
    if (model.contains(affix) && model[affix].is_string() && !model[affix].get<std::string>().empty())
      reader.reject(fmt::format("model: {} is not done here", affix));
  if (const Json& dropout = entry(model, "dropout"); !dropout.is_null() && dropout != 0)
    reader.reject(fmt::format("model: dropout {} is not done here", dropout.dump()));
  if (const Json& normalizer = entry(file, "normalizer"); !normalizer.is_null())
    reader.reject(fmt::format("normalizer {} is not done here", type_of(normalizer)));
}

std::vector<Bpe::Merge> read_merges(const Reader& reader, const Vocabulary& vocabulary, const Json& list) {
  std::vector<Bpe::Merge> merges;
  for (const Json& merge : list) {
    const std::size_t number = merges.size();
    if (merge.is_string()) {
      merges.push_back(merge_of(reader, vocabulary, number, merge.get<std::string>()));
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      merges.push_back(
          merge_of(reader, vocabulary, number, merge[0].get<std::string>(), merge[1].get<std::string>()));
    } else {
      reader.reject(fmt::format("merge {} must be two tokens", number));
    }
  }
  return merges;
}

// Special tokens that stand in a text are text here. A file that has others looked for, or these in ways of their own, makes other tokens.
std::vector<Bpe::Special> read_added_tokens(const Reader& reader, Vocabulary& vocabulary, const Json& list) {
  std::vector<Bpe::Special> specials;
  for (const Json& added : list) {
    const auto content = added.at("content").get<std::string>();
    const auto id = added.at("id").get<std::int64_t>();
    if (!added.value("special", true))
      reader.reject(fmt::format("added token '{}' is not special: such are not looked for here", content));
    for (const char* way : {"lstrip", "rstrip", "single_word"})
      if (added.value(way, false))
        reader.reject(fmt::format("added token '{}': {} is not done here", content, way));
    place(reader, vocabulary, content, id, content);
    specials.push_back({content, static_cast<Token>(id)});
  }
  return specials;
}

Bpe read_tokenizer_json(const Reader& reader, const Json& file) {
  const Json& model = entry(file, "model");
  refuse_variants(reader, file, model);
  Vocabulary vocabulary = read_vocabulary(reader, entry(model, "vocab"));
  std::vector<Bpe::Merge> merges = read_merges(reader, vocabulary, entry(model, "merges"));
  std::vector<Bpe::Special> specials = read_added_tokens(reader, vocabulary, entry(file, "added_tokens"));
  return make_bpe(reader, vocabulary, std::move(merges), expression_of(reader, entry(file, "pre_tokenizer")),
                  std::move(specials));
}

Bpe read_gpt2(const Path& vocab, const Path& merges_path) {
  const Reader reader(vocab.native()), merges_reader(merges_path.native());
  Vocabulary vocabulary = read_vocabulary(reader, reader.parse(read_model_file(vocab)));
  std::vector<Bpe::Merge> merges;
  std::istringstream lines(read_model_file(merges_path));
  for (std::string line; std::getline(lines, line);) {
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (line.empty() || (merges.empty() && line.starts_with("#version"))) continue;
    merges.push_back(merge_of(merges_reader, vocabulary, merges.size(), line));
  }
  std::vector<Bpe::Special> specials;
  if (const auto end = vocabulary.id_of.find(std::string(kEndOfText)); end != vocabulary.id_of.end())
    specials.push_back({end->first, end->second});
  return make_bpe(reader, vocabulary, std::move(merges), kGpt2Pieces, std::move(specials));
}

}  // namespace

Bpe parse_bpe(const std::string& tokenizer_json, const std::string& name) {
  const Reader reader(name);
  try {
    const Json file = reader.parse(tokenizer_json);
    if (!file.is_object() || !file.contains("model")) reader.reject("no tokenizer.json: it has no 'model'");
    return read_tokenizer_json(reader, file);
  } catch (const Json::exception& error) {
    reader.reject(error.what());
  }
}

Bpe read_bpe(const Path& path) {
  std::error_code no_folder;
  const bool is_folder = std::filesystem::is_directory(path, no_folder);
  const Path folder = is_folder ? path : path.parent_path();
  if (is_folder && input_exists(path / "tokenizer.json")) return read_bpe(path / "tokenizer.json");
  if (is_folder || path.filename() == "merges.txt" || path.filename() == "vocab.json")
    return read_gpt2(folder / "vocab.json", folder / "merges.txt");
  if (path.extension() == ".model")
    Reader(path.native()).reject("SentencePiece models are not read: convert it to token ids outside");
  return parse_bpe(read_model_file(path), path.native());
}

std::string to_tokenizer_json(const Bpe& bpe) {
  OrderedJson vocab = OrderedJson::object(), merges = OrderedJson::array(), added = OrderedJson::array();
  for (const Bpe::Special& special : bpe.specials())
    added.push_back({{"id", special.id},
                     {"content", special.text},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  for (Token token = 0; token < bpe.vocab_size(); ++token) {
    const bool is_special = std::any_of(bpe.specials().begin(), bpe.specials().end(),
                                        [&](const Bpe::Special& special) { return special.id == token; });
    if (!is_special) vocab[written(bpe.bytes_of(token))] = token;
  }
  for (const Bpe::Merge& m : bpe.merges())
    merges.push_back(written(bpe.bytes_of(m.left)) + " " + written(bpe.bytes_of(m.right)));
  const std::string& expression = bpe.splitter().expression();
  OrderedJson bytes = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
  OrderedJson pre = bytes;
  if (expression != kGpt2Pieces) {
    bytes["use_regex"] = false;
    const OrderedJson split = {
        {"type", "Split"}, {"pattern", {{"Regex", expression}}}, {"behavior", "Isolated"}, {"invert", false}};
    pre = {{"type", "Sequence"}, {"pretokenizers", {split, bytes}}};
  }
  OrderedJson model = {{"type", "BPE"},
                       {"dropout", nullptr},
                       {"unk_token", nullptr},
                       {"continuing_subword_prefix", nullptr},
                       {"end_of_word_suffix", nullptr},
                       {"fuse_unk", false},
                       {"byte_fallback", false},
                       {"vocab", std::move(vocab)},
                       {"merges", std::move(merges)}};
  const OrderedJson file = {{"version", "1.0"},          {"truncation", nullptr},
                            {"padding", nullptr},        {"added_tokens", std::move(added)},
                            {"normalizer", nullptr},     {"pre_tokenizer", pre},
                            {"post_processor", nullptr}, {"decoder", {{"type", "ByteLevel"}}},
                            {"model", std::move(model)}};
  return file.dump(1) + "\n";
}

Gpt2Files to_gpt2_files(const Bpe& bpe) {
  if (bpe.splitter().expression() != kGpt2Pieces)
    throw UsageError(
        "vocab.json and merges.txt have no place for an expression other than GPT-2's: write tokenizer.json");
  OrderedJson vocab = OrderedJson::object();
  for (Token token = 0; token < bpe.vocab_size(); ++token) vocab[written(bpe.bytes_of(token))] = token;
  Gpt2Files files{vocab.dump() + "\n", "#version: 0.2\n"};
  for (const Bpe::Merge& m : bpe.merges())
    files.merges_txt += written(bpe.bytes_of(m.left)) + " " + written(bpe.bytes_of(m.right)) + "\n";
  return files;
}

}  // namespace loglog::data

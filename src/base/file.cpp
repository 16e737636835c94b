#include "base/file.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "base/address_space.hpp"
#include "base/error.hpp"

namespace loglog {
namespace {

class PosixFile final : public WritableFile {
 public:
  PosixFile(const Path& path, int flags)
      : path_(path), descriptor_(::open(path.c_str(), flags | O_CLOEXEC, 0644)) {
    if (descriptor_ < 0) throw IoError("cannot open for writing", path_.native(), errno);
  }
  ~PosixFile() override {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  void append(std::span<const std::byte> bytes) override {
    while (!bytes.empty()) {
      const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) {
        throw IoError(fmt::format("cannot write {} more bytes to", bytes.size()), path_.native(), errno);
      }
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
  }
  void sync() override {
    if (::fsync(descriptor_) != 0) throw IoError("cannot flush", path_.native(), errno);
  }
  void close() override {
    const int descriptor = std::exchange(descriptor_, -1);
    if (descriptor >= 0 && ::close(descriptor) != 0) throw IoError("cannot close", path_.native(), errno);
  }

 private:
  Path path_;
  int descriptor_;
};

// Closes a file at the end of its scope.
struct Descriptor {
  int number;
  explicit Descriptor(int opened) : number(opened) {}
  ~Descriptor() {
    if (number >= 0) ::close(number);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
};

class PosixFileSystem final : public FileSystem {
 public:
  std::unique_ptr<WritableFile> create(const Path& path) override {
    return std::make_unique<PosixFile>(path, O_WRONLY | O_CREAT | O_TRUNC);
  }
  std::unique_ptr<WritableFile> open_append(const Path& path) override {
    return std::make_unique<PosixFile>(path, O_WRONLY | O_CREAT | O_APPEND);
  }
  void rename(const Path& from, const Path& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) {
      throw IoError(fmt::format("cannot rename '{}' to", from.native()), to.native(), errno);
    }
  }
  void remove(const Path& path) override {
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) throw IoError("cannot remove", path.native(), errno);
  }
  void remove_all(const Path& path) override {
    std::error_code error;
    std::filesystem::remove_all(path, error);
    if (error) throw IoError("cannot remove", path.native(), error.value());
  }
  void create_directories(const Path& path) override {
    std::error_code error;
    std::filesystem::create_directories(path, error);
    if (error) throw IoError("cannot create folder", path.native(), error.value());
  }
  void sync_directory(const Path& path) override {
    const Path folder = path.empty() ? Path(".") : path;
    const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) throw IoError("cannot open folder", folder.native(), errno);
    const int status = ::fsync(descriptor);
    const int code = errno;
    ::close(descriptor);
    if (status != 0) throw IoError("cannot flush folder", folder.native(), code);
  }
};

}  // namespace

bool path_exists(const Path& path) {
  std::error_code error;
  const bool found = std::filesystem::exists(path, error);
  if (error) throw IoError("cannot look for", path.native(), error.value());
  return found;
}

bool is_stream(const Path& path) {
  std::error_code ignored;
  const std::filesystem::file_status status = std::filesystem::status(path, ignored);
  return std::filesystem::is_character_file(status) || std::filesystem::is_fifo(status) ||
         std::filesystem::is_socket(status);
}

// "NAME.PID.tmp", with NAME cut to what a folder takes.
Path temporary_beside(const Path& path) {
  constexpr std::size_t kLongestName = 230;  // of 255, 8 and more for our part
  std::string name = path.filename().native();
  if (name.size() > kLongestName) name.resize(kLongestName);
  return path.parent_path() / fmt::format("{}.{}.tmp", name, ::getpid());
}

FileSystem& real_file_system() {
  static PosixFileSystem instance;
  return instance;
}

namespace {

// What a name stands for: a file is written through a symbolic link, not in its place.
Path behind_link(const Path& name) {
  std::error_code ignored;
  const bool link = std::filesystem::is_symlink(std::filesystem::symlink_status(name, ignored));
  return link && std::filesystem::exists(name, ignored) ? std::filesystem::canonical(name) : name;
}

// For what is removed because something failed: the first error is the one to report.
template <class Remove>
void quietly(Remove&& remove) {
  try {
    remove();
  } catch (const IoError&) {
  }
}

// No disk takes a name that is too long.
[[noreturn]] void refuse_target(const Path& name, int code) {
  if (code == ENAMETOOLONG) throw UsageError(IoError("cannot write", name.native(), code).what());
  throw IoError("cannot write", name.native(), code);
}

}  // namespace

void check_writable(FileSystem& fs, const Path& name) {
  struct stat status {};
  if (::stat(name.c_str(), &status) != 0) {
    if (errno != ENOENT) refuse_target(name, errno);
  } else if (S_ISDIR(status.st_mode)) {
    refuse_target(name, EISDIR);
  }
  if (is_stream(name)) {
    if (::access(name.c_str(), W_OK) != 0) refuse_target(name, errno);
    return;
  }
  const Path temporary = temporary_beside(behind_link(name));
  try {
    fs.create(temporary)->close();
    fs.remove(temporary);
  } catch (const IoError& error) {
    quietly([&] { fs.remove(temporary); });
    refuse_target(name, error.code);
  }
}

void write_atomically(FileSystem& fs, const Path& name, const std::function<void(WritableFile&)>& write,
                      const std::function<void(const Path&)>& accept) {
  if (is_stream(name)) {  // a rename would put a file in its place
    const auto file = fs.create(name);
    write(*file);
    return file->close();
  }
  const Path path = behind_link(name);
  const Path temporary = temporary_beside(path);
  try {
    const auto file = fs.create(temporary);
    write(*file);
    file->sync();
    file->close();
    accept(temporary);
    fs.rename(temporary, path);
  } catch (...) {
    quietly([&] { fs.remove(temporary); });
    throw;
  }
  fs.sync_directory(path.parent_path());
}

void write_atomically(FileSystem& fs, const Path& path, std::string_view text) {
  write_atomically(fs, path, [&](WritableFile& file) { file.append(std::as_bytes(std::span(text))); });
}

namespace {

// "NAME/" is NAME.
Path without_slash(const Path& folder) {
  return folder.has_filename() ? folder : folder.parent_path();
}

}  // namespace

void write_folder_atomically(FileSystem& fs, const Path& folder,
                             const std::function<void(const Path&)>& write) {
  const Path target = without_slash(folder);
  const bool is_there = path_exists(target);  // perhaps the user's working folder, which no other may replace
  const Path temporary = temporary_beside(is_there ? target / "files" : target);
  std::vector<std::string> names;
  try {
    fs.create_directories(temporary);
    write(temporary);
    fs.sync_directory(temporary);
    if (!is_there) fs.rename(temporary, target);
    if (is_there) names = list_directory(temporary);
    for (const std::string& name : names) fs.rename(temporary / name, target / name);
    if (is_there) fs.remove_all(temporary);
  } catch (...) {
    quietly([&] { fs.remove_all(temporary); });
    for (const std::string& name : names) quietly([&] { fs.remove(target / name); });
    throw;
  }
  fs.sync_directory(is_there ? target : target.parent_path());
}

// By readdir: the standard's iterator ends the program when memory runs out.
std::vector<std::string> list_directory(const Path& path) {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(path.c_str()), ::closedir);
  std::vector<std::string> names;
  if (folder == nullptr && (errno == ENOENT || errno == ENOTDIR)) return names;
  if (folder == nullptr) throw IoError("cannot read folder", path.native(), errno);
  for (errno = 0; const dirent* entry = ::readdir(folder.get()); errno = 0) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  if (errno != 0) throw IoError("cannot read folder", path.native(), errno);
  return names;
}

// By read(2): a stream that meets an error in the middle hands out what came before as if it were the whole file.
std::string read_text(const Path& path) {
  constexpr std::size_t kChunk = std::size_t{1} << 16;
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.number < 0) throw IoError("cannot read", path.native(), errno);
  std::string text;
  while (true) {
    const std::size_t length = text.size();
    text.resize(length + kChunk);
    const ssize_t count = ::read(file.number, text.data() + length, kChunk);
    const int code = errno;
    text.resize(length + static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    if (count == 0) return text;
    if (count < 0 && code != EINTR) throw IoError("cannot read", path.native(), code);
  }
}

namespace {

// What the machine lacks is no fault of the file.
template <class Read>
auto as_input(Read&& read) {
  try {
    return read();
  } catch (const IoError& error) {
    if (error.code == ENOMEM || error.code == EMFILE || error.code == ENFILE) throw;
    throw InputError(error.what());
  }
}

}  // namespace

std::string read_input(const Path& path) {
  return as_input([&] { return read_text(path); });
}

bool input_exists(const Path& path) {
  return as_input([&] { return path_exists(path); });
}

std::string read_model_file(const Path& path) {
  constexpr std::size_t kMostBytes = std::size_t{64}
                                     << 20;  // the largest tokenizer.json in use has half of it
  const MappedFile file = map_input(path);
  if (file.bytes().size() > kMostBytes) {
    throw InputError(fmt::format("'{}' has {} bytes, at most {} are read", path.native(), file.bytes().size(),
                                 kMostBytes));
  }
  file.check_size();
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

MappedFile map_input(const Path& path) {
  return as_input([&] { return MappedFile(path); });
}

FolderLock::FolderLock(const Path& folder)
    : descriptor_(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  if (descriptor_ < 0) throw IoError("cannot open folder", folder.native(), errno);
  if (::flock(descriptor_, LOCK_EX | LOCK_NB) == 0) return;
  const int code = errno;
  ::close(descriptor_);
  if (code != EWOULDBLOCK) throw IoError("cannot lock folder", folder.native(), code);
  throw Error(Exit::store_busy, fmt::format("another process works in '{}'", folder.native()));
}

FolderLock::~FolderLock() {
  ::close(descriptor_);
}

namespace {

// The file is as good as it was: what reads it must not take this for damage.
[[noreturn]] void refuse_mapping(const Path& path, std::size_t needed) {
  const auto mib = [](std::size_t bytes) { return static_cast<double>(bytes) / (1 << 20); };
  const std::size_t left = address_space_left();
  throw RefusedError(
      fmt::format("not enough memory to map '{}': it needs {:.1f} MiB of address space and {}", path.native(),
                  mib(needed),
                  left == std::numeric_limits<std::size_t>::max()
                      ? "the system gives no more"
                      : fmt::format("{:.1f} MiB are left of the limit (ulimit -v)", mib(left))));
}

}  // namespace

MappedFile::MappedFile(const Path& path) : path_(path) {
  // O_NONBLOCK: a pipe without a writer would wait here for one, only to be refused below.
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor_ < 0) throw IoError("cannot open", path_.native(), errno);
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0 || S_ISDIR(status.st_mode)) {
    const int code = S_ISDIR(status.st_mode) ? EISDIR : errno;
    release();
    throw IoError("cannot read", path_.native(), code);
  }
  if (!S_ISREG(status.st_mode)) {
    release();
    throw InputError("'" + path_.native() +
                     "' is a pipe or a device and cannot be mapped: save it to a file first");
  }
  size_ = static_cast<std::size_t>(status.st_size);
  if (size_ == 0) return;
  void* address = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, descriptor_, 0);
  if (address == MAP_FAILED) {
    const int code = errno;
    const std::size_t needed = std::exchange(size_, 0);
    release();
    if (code == ENOMEM) refuse_mapping(path_, needed);
    throw IoError("cannot map", path_.native(), code);
  }
  data_ = static_cast<const std::byte*>(address);
}

void MappedFile::release() noexcept {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
  if (descriptor_ >= 0) ::close(descriptor_);
  data_ = nullptr;
  size_ = 0;
  descriptor_ = -1;
}

MappedFile::~MappedFile() {
  release();
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      descriptor_(std::exchange(other.descriptor_, -1)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  if (this != &other) {
    release();
    path_ = std::move(other.path_);
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
    descriptor_ = std::exchange(other.descriptor_, -1);
  }
  return *this;
}

void MappedFile::give_back(std::span<const std::byte> part) const noexcept {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto begin = reinterpret_cast<std::uintptr_t>(part.data());
  const std::uintptr_t first = (begin + page - 1) / page * page, end = (begin + part.size()) / page * page;
  if (first < end) ::madvise(reinterpret_cast<void*>(first), end - first, MADV_DONTNEED);
}

void MappedFile::check_size() const {
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) throw IoError("cannot inspect", path_.native(), errno);
  if (static_cast<std::size_t>(status.st_size) < size_) {
    throw InputError(fmt::format("'{}' shrank from {} to {} bytes while it was in use", path_.native(), size_,
                                 static_cast<std::size_t>(status.st_size)));
  }
}

namespace {

extern "C" void on_sigbus(int) {
  constexpr std::string_view message =
      "loglog: an input file became shorter while it was being read (or its disk failed); run again with a "
      "complete file\n";
  [[maybe_unused]] const ssize_t ignored = ::write(STDERR_FILENO, message.data(), message.size());
  ::_exit(static_cast<int>(Exit::bad_input));
}

}  // namespace

void install_mapping_guard() noexcept {
  struct sigaction action {};
  action.sa_handler = on_sigbus;
  ::sigaction(SIGBUS, &action, nullptr);
}

}  // namespace loglog

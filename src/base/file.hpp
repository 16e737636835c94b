// Files: the only place that talks to the operating system about them.
//
// Writing goes through FileSystem so that tests can make the k-th call fail or record what a power cut would leave.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace loglog {

using Path = std::filesystem::path;

// A file open for writing. close() reports errors; the destructor closes silently.
class WritableFile {
 public:
  virtual ~WritableFile() = default;
  virtual void append(
      std::span<const std::byte> bytes) = 0;  // IoError on failure, after retrying interrupted calls
  virtual void sync() = 0;                    // fsync
  virtual void close() = 0;
};

// What changes on a disk. Every function throws IoError with the path.
class FileSystem {
 public:
  virtual ~FileSystem() = default;
  virtual std::unique_ptr<WritableFile> create(const Path& path) = 0;       // truncates what is there
  virtual std::unique_ptr<WritableFile> open_append(const Path& path) = 0;  // creates when absent
  virtual void rename(const Path& from, const Path& to) = 0;                // atomic, replaces `to`
  virtual void remove(const Path& path) = 0;                                // absent is no error
  virtual void remove_all(const Path& path) = 0;                            // a folder and what is in it
  virtual void create_directories(const Path& path) = 0;
  virtual void sync_directory(const Path& path) = 0;  // makes renames in it durable
};

// The real one. Stateless; one instance serves the whole process.
FileSystem& real_file_system();

bool path_exists(const Path& path);   // IoError when a folder on the way may not be looked into
bool input_exists(const Path& path);  // the same of an input: InputError, as read_input()

// A device, pipe or socket: it takes bytes as they come and keeps no old ones that could be lost.
bool is_stream(const Path& path);

// A name in the folder of `path` that no other process uses: its own, this process's number and ".tmp".
Path temporary_beside(const Path& path);

// Writes to temporary_beside(path), syncs, renames, syncs the folder. On any error before the rename the old file is
// untouched and the temporary one removed. A symbolic link is followed; a device or a pipe is written straight
// through. `write` is called once with the open file, `accept` with the name of the whole file before it is renamed:
// what it throws keeps the old one.
void write_atomically(
    FileSystem& fs, const Path& path, const std::function<void(WritableFile&)>& write,
    const std::function<void(const Path&)>& accept = [](const Path&) {});
void write_atomically(FileSystem& fs, const Path& path, std::string_view text);

// Makes a folder whose files write(FOLDER) writes into a temporary one beside its name, which is then renamed; the folders above it
// are made if need be. Where there is an empty folder already, the temporary one is in it, and the files are renamed. On any
// error nothing is left.
void write_folder_atomically(FileSystem& fs, const Path& folder,
                             const std::function<void(const Path&)>& write);

// For a file that is written after long work: throws IoError now when write_atomically() would not find a place for it (a
// folder of that name, a folder that is missing or takes no files), UsageError when the name is too long. Leaves nothing.
void check_writable(FileSystem& fs, const Path& path);

// Names of what a folder holds, in no order; empty when there is no such folder. IoError when it cannot be read.
std::vector<std::string> list_directory(const Path& path);

std::string read_text(const Path& path);  // IoError when it cannot be read to its end

// The same for a file that the user named as input: one that is missing or cannot be read is a bad input
// (InputError, exit 4); IoError only when memory or file descriptors run out.
std::string read_input(const Path& path);

// The same of a file that belongs to a model and is read whole: InputError for a pipe or a device, which may never end, and
// beyond 64 MiB.
std::string read_model_file(const Path& path);

// Keeps a folder for one process: while this object lives, a second one for the same folder throws Error with exit
// code 7. Leaves nothing in the folder and ends with the process, however that ends.
class FolderLock {
 public:
  explicit FolderLock(const Path& folder);  // IoError when there is no such folder
  ~FolderLock();
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  int descriptor_;
};

// A whole file mapped read-only. A file that shrinks while it is mapped would raise SIGBUS on access: call
// check_size() before each batch of reads, and install_mapping_guard() once in main turns what slips through
// into a clear message.
class MappedFile {
 public:
  explicit MappedFile(const Path& path);  // IoError; InputError: no regular file; RefusedError: no room
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }
  const Path& path() const noexcept { return path_; }
  void check_size() const;  // InputError when the file is now shorter than when it was mapped
  // Pages that lie wholly in this part of bytes() no longer count as memory of the process; they can still be read.
  void give_back(std::span<const std::byte> part) const noexcept;

 private:
  void release() noexcept;
  Path path_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
  int descriptor_ = -1;
};

MappedFile map_input(const Path& path);  // as read_input()

// From here on SIGBUS ends the process with exit code 4 and a message instead of a core dump.
void install_mapping_guard() noexcept;

}  // namespace loglog

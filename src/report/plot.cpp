#include "report/plot.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__linux__)
#include <sys/prctl.h>
#endif

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <string_view>

#include "base/check.hpp"
#include "base/error.hpp"
#include "base/json_text.hpp"

extern char** environ;

namespace loglog::report {
namespace {

// Okabe & Ito 2008: distinguishable with every common colour blindness, and readable on white and on black.
constexpr std::array<std::string_view, 7> kPalette = {"#0072B2", "#D55E00", "#009E73", "#CC79A7",
                                                      "#E69F00", "#56B4E9", "#8A8A8A"};

// For ordered things such as sizes: hue runs from indigo to magenta at nearly even lightness, so that both
// ends stand out from white and from black.
using Rgb = std::array<double, 3>;
constexpr std::array<Rgb, 7> kRamp = {{{98, 96, 220},
                                       {47, 143, 206},
                                       {31, 161, 135},
                                       {122, 171, 46},
                                       {217, 154, 28},
                                       {216, 87, 42},
                                       {190, 62, 128}}};

// For cells: from dark to bright in lightness that rises evenly, so that it is read without colour too (after Smith & van der Walt 2015,
// "viridis").
constexpr std::string_view kCellPalette =
    "set palette defined (0 '#440154', 1 '#3b528b', 2 '#21918c', 3 '#5ec962', 4 '#fde725')\n";

std::string ramp_colour(double shade) {
  const double place = std::clamp(shade, 0.0, 1.0) * static_cast<double>(kRamp.size() - 1);
  const std::size_t left = std::min(static_cast<std::size_t>(place), kRamp.size() - 2);
  const double share = place - static_cast<double>(left);
  const auto channel = [&](std::size_t i) {
    return std::lround((1 - share) * kRamp[left][i] + share * kRamp[left + 1][i]);
  };
  return fmt::format("#{:02x}{:02x}{:02x}", channel(0), channel(1), channel(2));
}

std::string colour_of(const Series& series) {
  if (series.shade) return ramp_colour(*series.shade);
  return std::string(kPalette[static_cast<std::size_t>(series.colour) % kPalette.size()]);
}

// What XML takes: UTF-8 without control characters.
std::string printable(const std::string& text) {
  std::string result = as_utf8(text);
  std::replace_if(
      result.begin(), result.end(), [](char c) { return static_cast<unsigned char>(c) < ' '; }, ' ');
  return result;
}

// A gnuplot string literal. Between double quotes an octal escape writes any character: between single ones gnuplot 5.4 takes the second of
// four apostrophes for the end, and between double ones a bare backquote runs a command.
std::string literal(const std::string& text) {
  std::string result = "\"";
  for (const char c : printable(text)) {
    if (c == '"' || c == '\\' || c == '`')
      result += fmt::format("\\{:03o}", static_cast<unsigned char>(c));
    else
      result += c;
  }
  return result + "\"";
}

bool drawable(double value, const Axis& axis) {
  return std::isfinite(value) && (!axis.log || value > 0.0);
}

// Text that may stand between double quotes in a data block.
std::string quotable(const std::string& text) {
  std::string result = printable(text);
  std::replace(result.begin(), result.end(), '"', '\'');
  std::replace(result.begin(), result.end(), '\\', '/');
  return result;
}

// Smallest and largest value along an axis, of what is drawn.
struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();
  void add(const std::vector<double>& values, const Axis& axis) {
    for (const double value : values) {
      if (!drawable(value, axis)) continue;
      low = std::min(low, value);
      high = std::max(high, value);
    }
  }
  // gnuplot would extend a logarithmic axis to the next decade, which may be most of the picture.
  Range with_margin(const Axis& axis) const {
    constexpr double kMargin = 0.04;
    if (!(low <= high)) return {axis.log ? 1.0 : 0.0, axis.log ? 10.0 : 1.0};
    Range shown = *this;
    if (axis.log) {
      const double factor = low < high ? std::pow(high, kMargin) / std::pow(low, kMargin) : 2;
      shown = {std::max(low / factor, 1 / kLargestNumber), std::min(high * factor, kLargestNumber)};
    } else {
      const double step = low < high ? kMargin * (high - low) : std::max(std::abs(low), 1.0) / 10;
      shown = {low - step, high + step};
    }
    return {axis.low.value_or(shown.low), axis.high.value_or(shown.high)};
  }
};

// 1e9 and 2.5e12, without the padding of printf.
std::string scientific(double value, int digits) {
  std::string text = fmt::format("{:.{}e}", value, digits - 1);
  const std::size_t e = text.find('e');
  if (e == std::string::npos) return text;  // nan, inf
  std::string mantissa = text.substr(0, e);
  if (mantissa.find('.') != std::string::npos) {
    mantissa.erase(mantissa.find_last_not_of('0') + 1);
    if (mantissa.back() == '.') mantissa.pop_back();
  }
  return fmt::format("{}e{}", mantissa, std::stoi(text.substr(e + 1)));
}

// gnuplot marks decades only, which leaves most axes of a sweep with one or two ticks.
std::string log_ticks(const Range& range) {
  if (!(range.low > 0) || !(range.high >= range.low) || std::isinf(range.high)) return "";
  const double decades = std::log10(range.high) - std::log10(range.low);
  const int stride = std::max(1, static_cast<int>(decades / 7));
  std::vector<double> steps = {1};
  if (decades < 3) steps = {1, 2, 5};
  if (decades < 0.9) steps = {1, 1.5, 2, 3, 4, 5, 6, 8};
  std::string ticks;
  const int first = static_cast<int>(std::floor(std::log10(range.low))) - 1;
  const int last = static_cast<int>(std::ceil(std::log10(range.high))) + 1;
  for (int power = first; power <= last; ++power) {
    if (power % stride != 0) continue;
    for (const double step : steps) {
      const double value = step * std::pow(10.0, power);
      if (!std::isnormal(value)) continue;
      const std::string label = range.high >= 1e9 ? scientific(value, 3) : short_number(value);
      ticks += fmt::format("{}'{}' {:.9g}", ticks.empty() ? "" : ", ", label, value);
    }
  }
  return ticks;
}

std::string axis_commands(std::string_view letter, const Axis& axis, const Range& range) {
  std::string text = fmt::format("set {}label {} noenhanced\n", letter, literal(axis.label));
  if (axis.log) {
    text += fmt::format("set logscale {0}\nset {0}tics ({1})\n", letter, log_ticks(range));
  } else if (axis.tick_step) {
    text += fmt::format("set {}tics 0,{:.9g}\n", letter, *axis.tick_step);
  }
  const Range shown = range.with_margin(axis);
  return text + fmt::format("set {}range [{:.9g}:{:.9g}]\n", letter, shown.low, shown.high);
}

std::string data_block(const Figure& figure, const Series& series, std::size_t index) {
  std::string text = fmt::format("$data{} << EOD\n", index);
  for (std::size_t i = 0; i < series.x.size(); ++i) {
    if (!drawable(series.x[i], figure.x) || !drawable(series.y[i], figure.y)) continue;
    text += fmt::format("{:.9g} {:.9g}", series.x[i], series.y[i]);
    if (series.mark == Mark::band) text += fmt::format(" {:.9g}", series.y2[i]);
    if (series.mark == Mark::cells)
      text += drawable(series.y2[i], figure.colour) ? fmt::format(" {:.9g}", series.y2[i]) : " NaN";
    if (!series.hover.empty()) text += fmt::format(" \"{}\"", quotable(series.hover[i]));
    text += '\n';
  }
  return text + "EOD\n";
}

std::string style_of(const Series& series) {
  const std::string colour = colour_of(series);
  switch (series.mark) {
    case Mark::points:
      return fmt::format("using 1:2 with points pt 7 ps 0.55 lc rgb '{}'", colour);
    case Mark::rings:
      return fmt::format("using 1:2 with points pt 6 ps 1.3 lw 2 lc rgb '{}'", colour);
    case Mark::line:
      return fmt::format("using 1:2 with lines lw 1.6 lc rgb '{}'", colour);
    case Mark::dashed_line:
      return fmt::format("using 1:2 with lines lw 1.4 dt 2 lc rgb '{}'", colour);
    case Mark::band:
      return fmt::format("using 1:2:3 with filledcurves fs transparent solid 0.18 noborder lc rgb '{}'",
                         colour);
    case Mark::labels:
      return "using 1:2:3 with labels left font ',11' noenhanced";
    case Mark::cells:
      return "using 1:2:3 with image pixels";
  }
  return {};
}

std::string legend_commands(const Figure& figure) {
  const bool labelled = std::any_of(figure.series.begin(), figure.series.end(),
                                    [](const Series& series) { return !series.label.empty(); });
  if (!figure.legend || !labelled) return "unset key\n";
  std::string text = "set key outside right top Left reverse samplen 2 spacing 1.1 font ',11'";
  if (!figure.legend_title.empty()) text += fmt::format(" title {} noenhanced", literal(figure.legend_title));
  return text + "\n";
}

std::string terminal_of(const Figure& figure, Format format) {
  switch (format) {
    case Format::svg: {
      std::string name = figure.name;  // prefix of the ids in the picture: letters, digits and _
      std::replace(name.begin(), name.end(), '-', '_');
      return fmt::format("set terminal svg size 760,470 dynamic font 'Helvetica,13' name '{}'\n", name);
    }
    case Format::png:
      return "set terminal pngcairo size 1140,705 font 'Helvetica,13' fontscale 1.25 linewidth 1.4\n";
    case Format::pdf:
      return "set terminal pdfcairo size 16cm,10cm font 'Helvetica,10'\n";
  }
  return {};
}

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (std::size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
}

// gnuplot calls its own script, which we leave out, to show the text over a point: make it a <title>, which
// browsers show by themselves. The text has no double quotes (quotable), and gnuplot has escaped & and <.
std::string with_native_hover(std::string_view svg) {
  constexpr std::string_view kBefore = " onmousemove=\"gnuplot_svg.showHypertext(evt,'";
  constexpr std::string_view kAfter = "')\" onmouseout=\"gnuplot_svg.hideHypertext()\"><title> </title>";
  std::string result;
  while (true) {
    const std::size_t begin = svg.find(kBefore);
    const std::size_t end = begin == svg.npos ? svg.npos : svg.find(kAfter, begin);
    if (end == svg.npos) return result.append(svg);
    const std::size_t text = begin + kBefore.size();
    result.append(svg.substr(0, begin)).append("><title>");
    result.append(svg.substr(text, end - text)).append("</title>");
    svg.remove_prefix(end + kAfter.size());
  }
}

// gnuplot writes a document; a page wants the element alone, with its black following the page's text colour.
std::string embeddable(std::string svg) {
  svg.erase(0, std::min(svg.find("<svg"), svg.size()));
  replace_all(svg, "stroke='black'", "stroke='currentColor'");
  replace_all(svg, "stroke=\"black\"", "stroke=\"currentColor\"");
  replace_all(svg, "color=\"black\"", "color=\"inherit\"");
  replace_all(svg, "fill=\"black\"", "fill=\"currentColor\"");
  replace_all(svg, "rgb(  0,   0,   0)", "currentColor");
  return with_native_hover(svg);
}

constexpr int kNotStarted = 127;  // as a shell says it

// What a child reads or writes: our end and its end, which exec closes.
struct Channel {
  int ours, theirs;
  Channel() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
      throw IoError("cannot make a pipe for", "gnuplot", errno);
    ours = ends[0];
    theirs = ends[1];
  }
  ~Channel() {
    ::close(ours);
    close_theirs();
  }
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;
  void close_theirs() {
    if (theirs >= 0) ::close(theirs);
    theirs = -1;
  }
};

// By fork, since no attribute of posix_spawn makes the child end with us. Between fork and exec there are system calls
// alone, so threads of ours do not matter.
pid_t start(char** argv, char** environment, const Channel& in, const Channel& out, const Channel& err) {
  [[maybe_unused]] const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child != 0) return child;
#if defined(__linux__)
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(kNotStarted);  // it died before we asked
#endif
  ::signal(SIGPIPE, SIG_DFL);
  ::dup2(in.theirs, STDIN_FILENO);
  ::dup2(out.theirs, STDOUT_FILENO);
  ::dup2(err.theirs, STDERR_FILENO);
  environ = environment;
  ::execvp(argv[0], argv);
  ::_exit(kNotStarted);
}

// Sends all of `script`, or as much as is wanted, and reads until both streams of the child have ended.
void exchange(std::string_view script, const Channel& in, const Channel& out, std::string& picture,
              const Channel& err, std::string& complaints) {
  pollfd ends[] = {{in.ours, POLLOUT, 0}, {out.ours, POLLIN, 0}, {err.ours, POLLIN, 0}};
  std::string* const texts[] = {nullptr, &picture, &complaints};
  while (ends[1].fd >= 0 || ends[2].fd >= 0) {
    if (::poll(ends, std::size(ends), -1) < 0) {
      if (errno != EINTR) throw IoError("cannot talk to", "gnuplot", errno);
      continue;
    }
    if (ends[0].revents != 0) {
      const ssize_t sent = ::send(in.ours, script.data(), script.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      const bool refused = sent < 0 && errno != EAGAIN && errno != EINTR;
      if (sent > 0) script.remove_prefix(static_cast<std::size_t>(sent));
      if (script.empty() || refused) {
        ::shutdown(in.ours, SHUT_WR);
        ends[0].fd = -1;
      }
    }
    for (const std::size_t i : {1, 2}) {
      if (ends[i].revents == 0) continue;
      std::array<char, 1 << 14> bytes;
      const ssize_t count = ::read(ends[i].fd, bytes.data(), bytes.size());
      if (count > 0) texts[i]->append(bytes.data(), static_cast<std::size_t>(count));
      if (count == 0 || (count < 0 && errno != EINTR)) ends[i].fd = -1;
    }
  }
}

struct Drawn {
  int status;  // of the program; kNotStarted when there is none
  std::string picture, complaints;
};

// Through pipes: gnuplot does not notice that a disk is full, and a command that is interrupted leaves no file of it.
Drawn run_gnuplot(std::string argument, std::string_view script) {
  std::string program = "gnuplot";
  char* argv[] = {program.data(), argument.data(), nullptr};
  std::vector<char*> environment;  // without the user's terminal: the script names its own
  for (char** variable = environ; *variable != nullptr; ++variable)
    if (!std::string_view(*variable).starts_with("GNUTERM=")) environment.push_back(*variable);
  environment.push_back(nullptr);
  Channel in, out, err;
  const pid_t child = start(argv, environment.data(), in, out, err);
  if (child < 0) throw IoError("cannot start", program, errno);
  for (Channel* channel : {&in, &out, &err}) channel->close_theirs();
  Drawn drawn{};
  exchange(script, in, out, drawn.picture, err, drawn.complaints);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  drawn.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
  return drawn;
}

// Whether the picture has its end.
bool is_whole(std::string_view picture, Format format) {
  const std::size_t end = picture.find_last_not_of("\r\n");
  switch (format) {
    case Format::svg:
      return picture.substr(0, end + 1).ends_with("</svg>");
    case Format::png:
      return picture.ends_with(
          "IEND\xae\x42\x60\x82");  // the last chunk: no data, so always the same checksum
    case Format::pdf:
      return picture.substr(0, end + 1).ends_with("%%EOF");
  }
  return false;
}

}  // namespace

std::string short_number(double value, int digits) {
  const double size = std::abs(value);
  if (size >= 999.5 && size < 999.5e3) return fmt::format("{:.{}g}k", value / 1e3, digits);
  if (size >= 999.5e3 && size < 999.5e6) return fmt::format("{:.{}g}M", value / 1e6, digits);
  if (size < 999.5 && (size >= 1e-4 || size == 0)) return fmt::format("{:.{}g}", value, digits);
  return scientific(value, digits);
}

std::string gnuplot_script(const Figure& figure, Format format) {
  std::string data;
  std::string plot;
  Range x, y, colour;
  for (std::size_t i = 0; i < figure.series.size(); ++i) {
    const Series& series = figure.series[i];
    LOGLOG_CHECK(series.x.size() == series.y.size(), "{} against {} in '{}'", series.x.size(),
                 series.y.size(), series.label);
    x.add(series.x, figure.x);
    y.add(series.y, figure.y);
    if (series.mark == Mark::cells)
      colour.add(series.y2, figure.colour);
    else
      y.add(series.y2, figure.y);
    data += data_block(figure, series, i);
    const std::string title =
        series.label.empty() ? "notitle" : "title " + literal(series.label) + " noenhanced";
    plot += fmt::format("{}$data{} {} {}", plot.empty() ? "plot " : ", \\\n  ", i, style_of(series), title);
    if (!series.hover.empty() && series.mark != Mark::labels) {
      plot += fmt::format(
          ", \\\n  $data{} using 1:2:3 with labels hypertext point pt 7 ps 0.55 lc rgb '{}' notitle", i,
          colour_of(series));
    }
  }
  return terminal_of(figure, format) + fmt::format("set title {} noenhanced\n", literal(figure.title)) +
         axis_commands("x", figure.x, x) + axis_commands("y", figure.y, y) +
         (colour.low <= colour.high ? axis_commands("cb", figure.colour, colour) + std::string(kCellPalette)
                                    : "") +
         "set grid lc rgb '#9a9a9a' lw 0.4 dt 3\nset tics nomirror\nset border 3\n" +
         legend_commands(figure) + data + plot + "\nunset output\n";
}

bool gnuplot_available() {
  return run_gnuplot("--version", "").status == 0;
}

std::string render(const Figure& figure, Format format) {
  Drawn drawn = run_gnuplot("-", gnuplot_script(figure, format));
  if (drawn.status == kNotStarted)
    throw RefusedError("gnuplot cannot be started: install it (Debian: apt-get install gnuplot-nox)");
  if (drawn.status != 0)
    throw Error(Exit::failed,
                fmt::format("gnuplot failed on figure '{}': {}", figure.name, drawn.complaints));
  if (!is_whole(drawn.picture, format))
    throw Error(Exit::failed, fmt::format("gnuplot left figure '{}' incomplete, after {} bytes: {}",
                                          figure.name, drawn.picture.size(), drawn.complaints));
  return format == Format::svg ? embeddable(std::move(drawn.picture)) : drawn.picture;
}

std::string svg_document(const std::string& svg) {
  const std::size_t end_of_tag = std::min(svg.find('>'), svg.size());
  const std::string_view head = std::string_view(svg).substr(0, end_of_tag),
                         rest = std::string_view(svg).substr(end_of_tag);
  return fmt::format(
      "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n{}><style>svg {{ color: #1c1c1c; background: #fff }} "
      "@media "
      "(prefers-color-scheme: dark) {{ svg {{ color: #e8e8e8; background: #16181c }} }}</style{}\n",
      head, rest);
}

}  // namespace loglog::report

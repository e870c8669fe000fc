// The emotion that each face shows steadily: no single frame changes it. No ROS in here.
#ifndef REACT_TO_EMOTION__STEADY_EMOTIONS_HPP_
#define REACT_TO_EMOTION__STEADY_EMOTIONS_HPP_

#include <cstdint>
#include <iterator>
#include <limits>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>

/// A face shows another emotion now. before is empty for a face that is new.
struct Change
{
  std::uint32_t face_id;
  std::string before;
  std::string now;
};

class SteadyEmotions
{
public:
  /// hold, forget: seconds. enter: confidence from which a label counts, 0..1.
  explicit SteadyEmotions(double hold = 0.5, double enter = 0.5, double forget = 2.0)
  : hold_(hold), enter_(enter), forget_(forget)
  {
    if (!(hold >= 0 && forget > 0 && enter >= 0 && enter <= 1)) {
      throw std::invalid_argument("expected hold and forget in seconds and enter as a share, 0 to 1");
    }
  }

  /// What one message means, stamp in seconds; nothing as long as nothing changes. A stamp long before the last one is
  /// a recording that starts again: all faces are new then. One shortly before it comes late and is left out.
  std::optional<Change> update(
    std::uint32_t face_id, const std::string & label, double confidence, double stamp)
  {
    if (last_ - forget_ < stamp && stamp < last_) {
      return std::nullopt;
    }
    if (stamp < last_) {
      faces_.clear();
    }
    last_ = stamp;
    for (auto face = faces_.begin(); face != faces_.end();) {
      face = stamp - face->second.seen > forget_ ? faces_.erase(face) : std::next(face);
    }
    auto found = faces_.find(face_id);
    if (found != faces_.end()) {
      found->second.seen = stamp;
    }
    if (label == "unknown" || confidence < enter_) {
      return std::nullopt;
    }
    if (found == faces_.end()) {
      found = faces_.emplace(face_id, Face{"", label, stamp, stamp}).first;
    }
    Face & face = found->second;
    if (label != face.candidate) {
      face.candidate = label;
      face.since = stamp;
    }
    if (label == face.steady || stamp - face.since < hold_) {
      return std::nullopt;
    }
    const Change change{face_id, face.steady, label};
    face.steady = label;
    return change;
  }

private:
  struct Face
  {
    std::string steady;
    std::string candidate;
    double since;
    double seen;
  };

  double hold_, enter_, forget_;
  double last_ = -std::numeric_limits<double>::infinity();
  std::map<std::uint32_t, Face> faces_;
};

#endif  // REACT_TO_EMOTION__STEADY_EMOTIONS_HPP_

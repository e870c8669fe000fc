// A behaviour that reacts once when a face has changed its emotion for good: copy it and put your own reaction in.
#include <map>
#include <memory>
#include <string>

#include "rclcpp/rclcpp.hpp"
#include "siamese_emotion_ros/msg/emotion_stamped.hpp"
#include "steady_emotions.hpp"

using siamese_emotion_ros::msg::EmotionStamped;

class ReactToEmotion : public rclcpp::Node
{
public:
  ReactToEmotion()
  : Node("react_to_emotion"),
    emotions_(
      declare_parameter("hold", 0.5), declare_parameter("enter", 0.5), declare_parameter("forget", 2.0))
  {
    subscription_ = create_subscription<EmotionStamped>(
      "emotion", 100, [this](EmotionStamped::ConstSharedPtr message) {
        const double stamp = message->header.stamp.sec + 1e-9 * message->header.stamp.nanosec;
        const auto change = emotions_.update(message->face_id, message->label, message->confidence, stamp);
        if (change) {
          react(*change);
        }
      });
  }

private:
  // Your robot's reaction.
  void react(const Change & change)
  {
    static const std::map<std::string, std::string> reactions{
      {"happiness", "smiles back"}, {"sadness", "asks what is wrong"}, {"anger", "gives way"}};
    const auto reaction = reactions.find(change.now);
    RCLCPP_INFO(
      get_logger(), "face %u: %s -> %s: the robot %s", change.face_id,
      change.before.empty() ? "new" : change.before.c_str(), change.now.c_str(),
      reaction == reactions.end() ? "looks" : reaction->second.c_str());
  }

  SteadyEmotions emotions_;
  rclcpp::Subscription<EmotionStamped>::SharedPtr subscription_;
};

int main(int argc, char ** argv)
{
  rclcpp::init(argc, argv);
  rclcpp::spin(std::make_shared<ReactToEmotion>());
  rclcpp::shutdown();
  return 0;
}

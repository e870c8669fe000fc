"""Where are the faces in a frame, and which is which? Detection, tracking and cropping, without ROS."""

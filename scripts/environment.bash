# Source this: the environment in which this package builds and runs, as far as it is made yet.
# Once it is built, `source install/setup.bash` does the same.

_root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
# Written by scripts/setup where ROS 2 comes from PyPI wheels; a sourced ROS 2 has its own.
if [ -f "$_root/.venv/local_setup.bash" ]; then
    source "$_root/.venv/local_setup.bash"
fi
if [ -f "$_root/install/local_setup.bash" ]; then
    source "$_root/install/local_setup.bash"
fi
unset _root

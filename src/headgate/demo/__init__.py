"""The main job on real input: official SDK clients replay production traces against the simulated Claude API, once
through Headgate and once plainly, at the same time."""

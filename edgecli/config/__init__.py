"""The configuration of a project: wrangler's file, and edgecli's own settings in it."""

from edgecli.config.find import find_config
from edgecli.config.origins import Origin
from edgecli.config.project import Project, load_project, load_project_or_default
from edgecli.config.settings import Settings

__all__ = ["Origin", "Project", "Settings", "find_config", "load_project", "load_project_or_default"]

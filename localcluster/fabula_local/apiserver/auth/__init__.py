"""Who a caller is and what they may do."""

from fabula_local.apiserver.auth.authentication import Authenticator
from fabula_local.apiserver.auth.rbac import Attributes, Authorizer
from fabula_local.apiserver.auth.tokens import TokenSigner

__all__ = ["Attributes", "Authenticator", "Authorizer", "TokenSigner"]

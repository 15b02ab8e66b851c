"""django-oauth-toolkit in one file. Users log in by the password grant; an administrator acts by `POST /act/NAME`.

python django_oauth_toolkit.py PORT FOLDER, which gets its database
"""

import os
import sys
from wsgiref.simple_server import make_server

import django
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import include, path
from django.views.decorators.csrf import csrf_exempt

PORT, FOLDER = int(sys.argv[1]), sys.argv[2]
os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"  # loopback has no TLS

settings.configure(
    SECRET_KEY="k" * 50,
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    DEBUG_PROPAGATE_EXCEPTIONS=True,
    USE_TZ=True,
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],  # the usual ones cost half a second a call
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": f"{FOLDER}/users.sqlite3"}},
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "oauth2_provider"],
    OAUTH2_PROVIDER={
        "SCOPES": {"openid": "", "orders:read": "", "introspection": ""},
        "DEFAULT_SCOPES": ["orders:read"],
    },
)
django.setup()
call_command("migrate", verbosity=0, run_syncdb=True)

from django.contrib.auth.models import User  # noqa: E402 - Django has to be set up before
from oauth2_provider.models import AccessToken, Application  # noqa: E402

GRANTS = {"app": "password", "doomed": "password", "service": "client-credentials", "gateway": "client-credentials"}
for client, grant in GRANTS.items():
    Application.objects.create(
        client_id=client,
        client_secret=f"secret-of-{client}",
        client_type="confidential",
        authorization_grant_type=grant,
    )
for user in ("alice", "bob", "carol", "dave", "erin", "frank"):
    User.objects.create_user(user, password=f"password-of-{user}")


@csrf_exempt
def act(request: HttpRequest, name: str) -> HttpResponse:
    token = AccessToken.objects.get(token=request.GET["token"])
    match name:
        case "disable-user":
            token.user.is_active = False
            token.user.save()
        case "new-password":
            token.user.set_password("another")
            token.user.save()
        case "remove-user":
            token.user.delete()
        case "remove-client":
            token.application.delete()
        case "revoke":  # as the user does on the page `authorized_tokens/`
            token.revoke()
    return HttpResponse(status=204)


urlpatterns = [path("o/", include("oauth2_provider.urls")), path("act/<name>", act)]
make_server("127.0.0.1", PORT, get_wsgi_application()).serve_forever()

package Pulse::Files;

# nginx before a sidecar that keeps files of people: its endpoints, and where
# it keeps them on a disk the links to them.

use v5.30;
use warnings;

use Exporter qw(import);
use Pulse::Nginx;

our @EXPORT_OK = qw(files_nginx);


# files_nginx(sidecar, http => more, config => more, feature => of the plan)

sub files_nginx {
    my ($sidecar, %o) = @_;

    my $files = $sidecar->files;
    my $http = $o{http} // '';
    my $config = $o{config} // '';
    my $feature = $o{feature} ? "feature=$o{feature}" : '';
    my ($store, $served) = ('', '');

    if ($files) {
        $store = "pulse_file_store $files key=$files.key;";
        $served = <<"CONFIG";
    location /stored/ { internal; alias $files/; log_not_found off; }

    location /files/ {
        client_max_body_size 25m;
        pulse_auth off;
        pulse_files /stored/;
    }
CONFIG
    }

    return Pulse::Nginx->new(http => <<"HTTP", config => <<"CONFIG")->run;
    pulse_postgres "$ENV{TEST_NGINX_PULSE_PG}";
    pulse_auth_keys $ENV{TEST_NGINX_PULSE_KEYS};
    pulse_sidecar $ENV{TEST_NGINX_PULSE_SIDECAR};
    pulse_public_url http://studio.example;
    pulse_upgrade_url http://studio.example/plans;
    $store
    $http
HTTP
    error_page 403 404 405 413 500 502 503 504 \@pulse_error;
    location \@pulse_error { pulse_error; }
    location /v1/ { pulse_auth on; pulse_docs $feature; }
$served
$config
CONFIG
}


1;

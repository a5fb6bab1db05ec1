package Pulse::Studio;

# The studio as conf/nginx.conf has it, on the suite's own stores.

use v5.30;
use warnings;

use Pulse::Env ();
use Pulse::Process qw(free_port);

use parent 'Pulse::Nginx';


# new(env => {OPENAI_BASE_URL => ...}, edit => sub { s/a/b/ }, port => n):
# "edit" changes the text of the configuration.  Keys of providers that the
# machine's own environment may have are never taken.  A sidecar, if one is
# wanted, is started before.

sub new {
    my ($class, %o) = @_;

    my $root = $Pulse::Env::root;
    my $dir = Pulse::Env::suite_dir();

    my %env = map { $_ => undef } grep {
        /^(?:OPENAI|ANTHROPIC|GOOGLE|GEMINI|REPLICATE)_/
    } keys %ENV;

    my $self = $class->SUPER::new(
        port => free_port(), prefix => "$dir/studio", %o,
        env => { %env, %{ $o{env} // {} } });

    $self->{file} = "$self->{prefix}/nginx.conf";

    mkdir "$self->{prefix}/$_" for qw(run tmp journal);

    Pulse::Env::keys_file("$self->{prefix}/keys.json");

    my $postgres = Pulse::Env::postgres()->dir;

    link_to("$postgres/.s.PGSQL.5432", "$dir/run");
    link_to(Pulse::Env::redis()->socket_path, "$dir/run");
    link_to("$dir/sidecar.sock", "$dir/run");

    mkdir "$dir/files";
    Pulse::Env::files_key("$dir/files.key") if !-e "$dir/files.key";
    link_to("$dir/$_", $self->{prefix}) for qw(files files.key);

    Pulse::Env::files_key("$self->{prefix}/moderation.key");

    return $self;
}


sub link_to {
    my ($target, $dir) = @_;

    mkdir $dir;
    symlink $target, $dir . '/' . $target =~ s{.*/}{}r;
}


sub configuration {
    my ($self) = @_;

    my $root = $Pulse::Env::root;
    my $dir = Pulse::Env::suite_dir();

    my %names = (
        MODULE => $ENV{TEST_NGINX_LOAD_MODULES}, CONF => "$root/conf",
        RUN => "$dir/run", PORT => $self->{port},
    );

    open my $in, '<', "$root/conf/nginx.conf" or die "nginx.conf: $!\n";
    local $_ = do { local $/; <$in> };

    s/\@([A-Z]+)\@/$names{$1} \/\/ die "what is \@$1\@?\n"/ge;

    my ($database) = $ENV{TEST_NGINX_PULSE_PG} =~ /dbname=(\S+)/;

    s/dbname=pulse\b/dbname=$database/;
    s{^load_module .*;}{}m if !$ENV{TEST_NGINX_LOAD_MODULES};   # static
    s{^pid .*;}{pid logs/nginx.pid;}m;
    s{^worker_processes .*;}{worker_processes $self->{workers};}m;

    $self->{edit}->() if defined $self->{edit};

    my $user = $> == 0 ? 'user root;' : '';

    return <<"HEAD" . $_;
daemon off;
$user
env ASAN_OPTIONS;
env UBSAN_OPTIONS;
env LD_PRELOAD;
HEAD
}


1;

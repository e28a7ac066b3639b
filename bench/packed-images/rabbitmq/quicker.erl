%% Makes the server's start cheaper while the image is built: fewer modules to look into, and all that is needed at once.
-module(quicker).
-export([forget_modules/1, training/0]).

-define(NODE, rabbit@localhost).
-define(BOOT, "/usr/lib/erlang/bin/start_sasl").
-define(SCRIPT, "/usr/lib/erlang/releases/25/start_sasl.script").

%% At every start the server asks each module of each application for attributes of these names, and so loads
%% more than a thousand modules, half of which it never calls. Applications keep only the modules that have one.
forget_modules(Pattern) ->
    [forget_modules_of(File) || File <- filelib:wildcard(Pattern)],
    ok.

forget_modules_of(File) ->
    {ok, [{application, Name, Keys}]} = file:consult(File),
    Asked = [M || M <- proplists:get_value(modules, Keys, []), is_asked(beam(filename:dirname(File), M))],
    ok = write(File, {application, Name, lists:keystore(modules, 1, Keys, {modules, Asked})}).

is_asked(Beam) ->
    case beam_lib:chunks(Beam, [attributes]) of
        {ok, {_, [{attributes, Attributes}]}} -> lists:any(fun is_asked_for/1, Attributes);
        {error, beam_lib, {file_error, _, enoent}} -> false  % left out of the image
    end.

is_asked_for({behaviour, Behaviours}) -> lists:member(rabbit_mgmt_extension, Behaviours);
is_asked_for({Name, _}) -> lists:member(Name, [rabbit_boot_step, rabbit_feature_flag, rabbit_upgrade]).

%% Waits for a server that was started with an empty disk, lets a client do its work, writes the boot file that loads
%% at once what was loaded one by one, and stops the server in order, so that its data can serve as the first data.
training() ->
    pong = awaited(fun() -> net_adm:ping(?NODE) end, pong),
    true = awaited(fun() -> rpc:call(?NODE, rabbit, is_running, []) end, true),
    ok = client(),
    Loaded = [{M, File} || {M, File} <- rpc:call(?NODE, code, all_loaded, []), is_list(File), hd(File) =:= $/],
    ok = write_boot_file(Loaded),
    io:format("~b modules are loaded at once~n", [length(Loaded)]),
    [ok = rpc:call(?NODE, rabbit_auth_backend_internal, delete_user, [User, <<"build">>])
     || User <- [<<"hashcollision">>, <<"auth">>, <<"user">>, <<"qa">>]],
    ok = rpc:call(?NODE, init, stop, []),
    pang = awaited(fun() -> net_adm:ping(?NODE) end, pang),
    halt().

awaited(Look, Wanted) -> awaited(Look, Wanted, 600).

awaited(_, Wanted, 0) -> exit({not_in_a_minute, Wanted});
awaited(Look, Wanted, Left) ->
    case Look() of
        Wanted -> Wanted;
        _ -> timer:sleep(100), awaited(Look, Wanted, Left - 1)
    end.

%% Publishes with confirmation and takes the message back, as the services do, and opens the pages.
client() ->
    {ok, Secret} = file:read_file("/run/secrets/rabbitmq_password"),
    {ok, Place} = amqp_uri:parse("amqp://hashcollision:" ++ binary_to_list(Secret) ++ "@127.0.0.1:5672/%2f"),
    {ok, Connection} = amqp_connection:start(Place),
    {ok, Channel} = amqp_connection:open_channel(Connection),
    Name = <<"training">>,
    {'exchange.declare_ok'} = amqp_channel:call(
        Channel, {'exchange.declare', 0, Name, <<"topic">>, false, true, false, false, false, []}),
    {'queue.declare_ok', Name, 0, 0} = amqp_channel:call(
        Channel, {'queue.declare', 0, Name, false, true, false, false, false, []}),
    {'queue.bind_ok'} = amqp_channel:call(Channel, {'queue.bind', 0, Name, Name, <<"#">>, false, []}),
    {'confirm.select_ok'} = amqp_channel:call(Channel, {'confirm.select', false}),
    ok = amqp_channel:call(Channel, {'basic.publish', 0, Name, Name, false, false}, {amqp_msg, persistent(), <<"1">>}),
    true = amqp_channel:wait_for_confirms(Channel, 10),
    {'basic.qos_ok'} = amqp_channel:call(Channel, {'basic.qos', 0, 10, false}),
    {'basic.consume_ok', Tag} = amqp_channel:subscribe(
        Channel, {'basic.consume', 0, Name, <<>>, false, false, false, false, []}, self()),
    receive {'basic.consume_ok', Tag} -> ok end,
    receive {{'basic.deliver', Tag, Delivery, _, _, _}, _} -> ok end,
    ok = amqp_channel:cast(Channel, {'basic.ack', Delivery, false}),
    {'queue.delete_ok', 0} = amqp_channel:call(Channel, {'queue.delete', 0, Name, false, false, false}),
    {'exchange.delete_ok'} = amqp_channel:call(Channel, {'exchange.delete', 0, Name, false, false}),
    ok = amqp_connection:close(Connection),
    os:cmd("healthy"),
    ok.

persistent() ->
    setelement(5, list_to_tuple(['P_basic' | lists:duplicate(14, undefined)]), 2).

write_boot_file(Loaded) ->
    {ok, [{script, Id, Steps}]} = file:consult(?SCRIPT),
    {Kernel, Rest} = lists:splitwith(fun(Step) -> Step =/= {kernel_load_completed} end, Steps),
    There = lists:append([Modules || {primLoad, Modules} <- Kernel]),
    Folders = lists:usort([filename:dirname(File) || {M, File} <- Loaded, not lists:member(M, There)]),
    Loads = [Step || Folder <- Folders, Step <- [
        {path, [Folder]},
        {primLoad, [M || {M, File} <- Loaded, filename:dirname(File) =:= Folder, not lists:member(M, There)]}]],
    ok = write("/tmp/server.script", {script, Id, Kernel ++ Loads ++ [without_modules(Step) || Step <- Rest]}),
    ok = systools:script2boot("/tmp/server").

%% The boot file has the descriptions of the first three applications inside.
without_modules({application, Name, [{_, _} | _] = Keys}) -> {application, Name, lists:keystore(modules, 1, Keys, {modules, []})};
without_modules(Tuple) when is_tuple(Tuple) -> list_to_tuple(without_modules(tuple_to_list(Tuple)));
without_modules([Head | Tail]) -> [without_modules(Head) | without_modules(Tail)];
without_modules(Other) -> Other.

beam(Folder, Module) -> filename:join(Folder, atom_to_list(Module) ++ ".beam").

write(File, Term) -> file:write_file(File, io_lib:format("~tp.~n", [Term])).
